"""Two iterations of configs that were drawn at random, with their hooks and schedules, give what MMEngine 0.10.7 gives."""

from __future__ import annotations

import json

import libraries
import pytest
from conftest import DIFFERENCES, GOLDEN, golden, last_json, overlay_env, run_script

PACKAGES = [path.stem for path in sorted((GOLDEN / "trainings").glob("*.json"))]
# Small and quick models.
QUICK = {"mmpretrain": 1, "mmseg": 1, "mmdet": 1}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("package", PACKAGES)
def test_a_drawn_config_trains_as_on_the_reference(package, record_property) -> None:
    library = libraries.BY_PACKAGE[package]
    if library.root is None:
        pytest.skip(f"nox -s downstream installs {library.requirement}")
    expected = golden("trainings", f"{package}.json")
    if not libraries.all_of_it():
        smallest = sorted(expected, key=lambda name: expected[name]["weights"])
        expected = {name: expected[name] for name in smallest[: QUICK.get(package, 0)]}
    if not expected:
        pytest.skip("part of the complete corpus: nox -s downstream -- --all")
    results = last_json(run_script("trainings.py", package, *expected, timeout=1400, env=overlay_env(library)))
    different = {name: [value, results[name]] for name, value in expected.items() if not equal(value, results[name])}
    record_property("library", package)
    record_property("trainings_equal", len(expected) - len(different))
    record_property("trainings", len(expected))
    reasons = DIFFERENCES["trainings"].get(package, {})
    unexplained = {name: pair for name, pair in different.items() if name not in reasons}
    assert not unexplained, json.dumps(unexplained, indent=1)


# Default hooks that MMEngine does not have; eng also logs the gradient's norm where nothing clips it.
HOOKS_OF_ENG = {"NonFiniteLossHook", "OptimizerModesHook", "PreemptionHook"}


def equal(expected: dict, result: dict) -> bool:
    """Whether losses, learning rates, hooks and weights agree; eng may log and hook in more."""
    if "error" in result or len(expected["scalars"]) != len(result["scalars"]):
        return False
    scalars = zip(expected["scalars"], result["scalars"], strict=True)
    hooks = [name for name in result["hooks"] if name not in HOOKS_OF_ENG]
    return (
        all(
            line == pytest.approx({key: logged.get(key) for key in line}, rel=1e-4, abs=1e-6, nan_ok=True)
            for line, logged in scalars
        )
        and expected["hooks"] == hooks
        and all(expected[name] == result[name] for name in ("rates", "iterations"))
        and expected["weights"] == pytest.approx(result["weights"], rel=1e-6)
    )
