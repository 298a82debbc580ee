from __future__ import annotations

import subprocess
import sys

import pytest

import eng.registry as package
from eng.registry import MODELS, DefaultScope, Registry, add_scope_synonym, remove_scope_synonym
from eng.registry._root import ROOT_REGISTRIES

NAMES_OF_THE_MANUAL = [
    "RUNNERS",
    "RUNNER_CONSTRUCTORS",
    "LOOPS",
    "HOOKS",
    "DATASETS",
    "DATA_SAMPLERS",
    "TRANSFORMS",
    "MODELS",
    "MODEL_WRAPPERS",
    "WEIGHT_INITIALIZERS",
    "OPTIMIZERS",
    "OPTIM_WRAPPER",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "PARAM_SCHEDULERS",
    "METRICS",
    "EVALUATOR",
    "TASK_UTILS",
    "VISUALIZERS",
    "VISBACKENDS",
    "LOG_PROCESSORS",
    "FUNCTIONS",
    "INFERENCERS",
]


def test_the_22_root_registries_are_there() -> None:
    found = [getattr(package, name) for name in NAMES_OF_THE_MANUAL]
    assert len({id(each) for each in found}) == 22
    assert all(isinstance(each, Registry) and each.parent is None and each.scope == "eng" for each in found)


def test_strategies_is_one_more_and_optim_wrappers_has_two_names() -> None:
    assert len(ROOT_REGISTRIES) == 23
    assert package.OPTIM_WRAPPERS is package.OPTIM_WRAPPER


def test_each_location_is_a_room_of_eng() -> None:
    code = (
        "from eng.registry._root import ROOT_REGISTRIES\n"
        "from eng.registry._discovery import distribution_of\n"
        "for each in ROOT_REGISTRIES:\n"
        "    assert all(distribution_of(place) == 'eng-runner' for place in each.locations), each.name\n"
        "print(sum(bool(each.locations) for each in ROOT_REGISTRIES))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "22"


def test_synonym_of_the_root_scope() -> None:
    MODELS.register_module(name="X", module=int)
    library = Registry("model", parent=MODELS, scope="mmlib")
    add_scope_synonym("mmengine")
    assert library.get("mmengine.X") is int
    with DefaultScope.overwrite_default_scope("mmengine"):
        assert library.in_current_scope() is MODELS


@pytest.mark.parametrize("name", ["a.b", ""], ids=["dot", "empty"])
def test_synonym_must_be_one_word(name: str) -> None:
    with pytest.raises(ValueError, match="one word without dots"):
        add_scope_synonym(name)


def test_a_synonym_can_be_taken_back() -> None:
    add_scope_synonym("bridge")
    assert MODELS.answers_to("bridge")
    remove_scope_synonym("bridge")
    assert not MODELS.answers_to("bridge")
    remove_scope_synonym(MODELS.scope)
    assert MODELS.answers_to(MODELS.scope)
