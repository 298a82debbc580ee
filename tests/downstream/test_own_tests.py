"""Tests that a library ships pass under the alias where they pass on MMEngine 0.10.7."""

from __future__ import annotations

import libraries
import pytest
from conftest import DIFFERENCES, golden
from own_tests import FOLDERS, run_own_tests

# A part that takes seconds, and no test that fails on the reference.
QUICK = {"mmseg": ("test_digit_version.py", "test_sampler.py", "test_models/test_heads/test_ann_head.py")}


@pytest.mark.timeout(1600)
@pytest.mark.parametrize("package", FOLDERS)
def test_the_tests_of_the_library_pass_where_they_pass_on_the_reference(package, tmp_path, record_property) -> None:
    library = libraries.BY_PACKAGE[package]
    if library.root is None:
        pytest.skip(f"nox -s downstream installs {library.requirement}")
    complete = libraries.all_of_it()
    outcomes = run_own_tests(package, tmp_path, ("-m", "eng.compat"), () if complete else QUICK[package])
    expected = golden("tests", f"{package}.json")
    reference = expected if complete else {name: expected[name] for name in outcomes}
    record_property("library", package)
    record_property("own_tests_equal", list(outcomes.values()).count("passed"))
    record_property("own_tests", list(reference.values()).count("passed"))
    reasons = DIFFERENCES["tests"].get(package, {})
    worse = {
        name: outcomes.get(name, "missing")
        for name, outcome in reference.items()
        if outcome == "passed" and outcomes.get(name) != "passed" and name not in reasons
    }
    assert worse == {}
    assert "passed" in outcomes.values()
