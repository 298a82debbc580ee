"""Models of the libraries give the losses and get the parameter groups that MMEngine 0.10.7 gives them."""

from __future__ import annotations

import json
import random

import libraries
import pytest
from conftest import DIFFERENCES, REGRESSIONS, golden, last_json, overlay_env, run_script

QUICK_COUNT = 3


def selected(package: str) -> dict[str, dict]:
    expected = golden("models", f"{package}.json")
    if libraries.all_of_it():
        return expected
    always = set(REGRESSIONS["models"].get(package, ()))
    drawn = random.Random(libraries.seed()).sample(sorted(expected), min(QUICK_COUNT, len(expected)))
    return {name: expected[name] for name in sorted(always.union(drawn))}


@pytest.mark.timeout(1900)
def test_one_step_equals_the_reference(library, record_property) -> None:
    if library.package not in WITH_MODELS:
        pytest.skip(f"{library.package} has no model that runs here: see docs/compat.md")
    expected = selected(library.package)
    env = overlay_env(library)
    output = run_script("model_steps.py", library.package, *expected, timeout=1800, env=env)
    results = last_json(output)
    different = {
        name: {"expected": expected[name], "got": result}
        for name, result in results.items()
        if not equal(expected[name], result)
    }
    record_property("library", library.package)
    record_property("models_equal", len(expected) - len(different))
    record_property("models", len(expected))
    reasons = DIFFERENCES["models"].get(library.package, {})
    unexplained = {name: pair for name, pair in different.items() if name not in reasons}
    assert not unexplained, json.dumps(unexplained, indent=1)


def equal(expected: dict, result: dict) -> bool:
    """Whether losses, parameter groups and the weights after the step agree."""
    if "error" in result:
        return False
    return (
        expected["losses"] == pytest.approx(result["losses"], rel=1e-5, abs=1e-7)
        and expected["groups"] == result["groups"]
        and expected["weights"] == pytest.approx(result["weights"], rel=1e-6)
    )


WITH_MODELS = ("mmpretrain", "mmseg", "mmdet", "mmpose", "mmaction", "mmocr", "mmdet3d", "mmagic")
