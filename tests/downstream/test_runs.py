"""Projects on unmodified libraries train, resume, test and infer with the libraries' own tools as on MMEngine 0.10.7."""

from __future__ import annotations

import json

import libraries
import pytest
from conftest import DIFFERENCES, GOLDEN, golden, overlay_env
from runs import PACKAGES, run_library

QUICK = ("mmpretrain", "mmseg", "mmdet")


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("package", PACKAGES)
def test_a_project_gives_what_the_reference_gives(package, tmp_path, monkeypatch, record_property) -> None:
    library = libraries.BY_PACKAGE[package]
    if library.root is None:
        pytest.skip(f"nox -s downstream installs {library.requirement}")
    if package not in QUICK and not libraries.all_of_it():
        pytest.skip("part of the complete corpus: nox -s downstream -- --all")
    if not (GOLDEN / "runs" / f"{package}.json").is_file():
        pytest.skip(f"golden/runs/{package}.json is not there: make_goldens.py runs {package} writes it")
    for name, value in overlay_env(library).items():
        monkeypatch.setenv(name, value)
    result = run_library(package, tmp_path, ("-m", "eng.compat"))
    expected = golden("runs", f"{package}.json")
    reasons = DIFFERENCES["runs"].get(package, {})
    phases = {name: close(result[name], value) for name, value in expected.items()}
    record_property("library", package)
    record_property("phases_equal", sum(phases.values()))
    record_property("phases", len(phases))
    different = {
        name: [expected[name], result[name]] for name, equal in phases.items() if not equal and name not in reasons
    }
    assert not different, json.dumps(different, indent=1)


def close(value, expected) -> bool:
    """Whether two results agree: numbers to four digits, everything else exactly."""
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(close(value[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(close, value, expected))
    if isinstance(expected, float):
        return value == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)
    return value == expected
