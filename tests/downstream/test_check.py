"""A check refuses no config that the libraries ship, hints at their real slips, and finds typos in their keys."""

from __future__ import annotations

import json

import libraries
import pytest
from conftest import HERE, last_json, overlay_env, run_script

# What the check sees in shipped configs, with a verdict for each: a slip of that config, or wrong.
HINTS = {name: files for name, files in json.loads((HERE / "hints.json").read_text("utf-8")).items() if name[0] != "_"}
QUICK_COUNT = 20
# Misspelt keys and wrong types that are drawn, in how many files: of all of them, and in the quick part.
TYPOS = {True: (500, 300, 40), False: (30, 30, 5)}
WITHOUT_TRAINING = {"opencompass"}
# Slips that are in these configs: what once was found stays found.
KNOWN_SLIPS = {
    "mmpretrain": ("optim_wrapper.paramwise_cfg._delete",),
    "mmseg": ("models",),
    "mmdet": ("test_evaluator.type",),
}


@pytest.mark.timeout(900)
def test_no_shipped_config_is_refused_and_typos_are_found(library, record_property) -> None:
    if library.package in WITHOUT_TRAINING:
        pytest.skip(f"{library.package} ships no config of a training run")
    known = HINTS.get(library.package, {})
    files = {
        *libraries.sample(library.config_files(), QUICK_COUNT),
        *(library.root / library.configs / x for x in known),
    }
    number, num_types, num_files = TYPOS[libraries.all_of_it()]
    counts = ["--typos", str(number), "--types", str(num_types), "--files", str(num_files)]
    options = [*counts, "--seed", str(libraries.seed())]
    script = ["check_configs.py", library.package, *map(str, sorted(files)), *options]
    result = last_json(run_script(*script, timeout=800, env=overlay_env(library)))
    record_property("library", library.package)
    record_property("configs_checked", result["count"])
    record_property("refused", len(result["refused"]))
    if not result["count"]:
        pytest.skip(f"{library.package} cannot be imported here: {result['unreadable']}")
    assert result["refused"] == {}
    hinted = {name: set(paths) for name, paths in result["hints"].items()}
    assert hinted == {name: set(paths) for name, paths in known.items() if name not in result["unreadable"]}
    typos, types = result["typos"], result["types"]
    record_property("typos_found", num_found(typos))
    record_property("types_found", num_found(types))
    assert (typos["number"], types["number"]) == (number, num_types)
    assert typos["missed_ours"] == []
    # A tenth of a small number says little: of a sample, a few more may be missed.
    few = 0 if libraries.all_of_it() else 3
    assert len(typos["missed_others"]) <= 0.1 * typos["others"] + few, typos["missed_others"]
    missed = types["missed_ours"] + types["missed_others"]
    assert len(missed) <= 0.05 * num_types + few, missed


def num_found(typos: dict) -> int:
    """How many of the drawn typos the check sees."""
    return typos["number"] - len(typos["missed_ours"]) - len(typos["missed_others"])


def test_hints_are_few_and_right() -> None:
    verdicts = [verdict for files in HINTS.values() for paths in files.values() for verdict in paths.values()]
    assert set(verdicts) <= {"slip", "wrong"}
    assert verdicts.count("wrong") <= len(verdicts) / 4
    for package, paths in KNOWN_SLIPS.items():
        found = {path for listed in HINTS[package].values() for path in listed}
        assert found >= set(paths)
    checked = {"mmpretrain": 508, "mmseg": 681, "mmdet": 801}
    assert sum(len(HINTS[package]) for package in checked) <= 0.02 * sum(checked.values())
