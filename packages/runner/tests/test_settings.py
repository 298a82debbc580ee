"""The settings of a run stand in one place: signature, defaults, checks and schema agree with it."""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from eng.runner import Runner
from eng.runner import settings as module
from eng.runner.environment import setup_environment
from eng.runner.errors import IncompleteSettingsError, SettingsError
from eng.runner.schema import SCHEMA
from eng.runner.settings import EnvSettings, Randomness, RunnerSettings, default_of, defaults
from eng.runner.spec import arguments_from_cfg

PARAMETERS = inspect.signature(Runner).parameters
MODEL: Any = {"type": "ToyModel"}


def test_signature_of_the_runner_has_the_settings_in_their_order() -> None:
    assert list(PARAMETERS) == [each.name for each in fields(RunnerSettings)]


@pytest.mark.parametrize("setting", fields(RunnerSettings), ids=lambda each: each.name)
def test_default_of_the_signature_is_that_of_the_setting(setting: Any) -> None:
    default = default_of(setting)
    expected = inspect.Parameter.empty if default is MISSING else default
    assert PARAMETERS[setting.name].default == expected


def test_defaults_are_not_shared() -> None:
    first = defaults()
    first["randomness"]["seed"] = 1
    assert defaults()["randomness"] == {"seed": None}


def test_randomness_is_what_set_randomness_takes() -> None:
    taken = inspect.signature(Runner.set_randomness).parameters
    assert [name for name in taken if name != "self"] == [each.name for each in fields(Randomness)]
    own = {name: each.default for name, each in taken.items() if name not in ("self", "seed")}
    assert own == {each.name: each.default for each in fields(Randomness) if each.name != "seed"}


def test_schema_knows_every_setting_and_its_parts() -> None:
    assert {each.name for each in fields(RunnerSettings)} <= SCHEMA.keys
    sections: Any = SCHEMA.sections
    assert sections["randomness"].keys == {each.name for each in fields(Randomness)}
    assert sections["env_cfg"].keys == {each.name for each in fields(EnvSettings)}


def test_arguments_from_a_config_are_the_settings() -> None:
    arguments = arguments_from_cfg({"model": MODEL, "work_dir": "w"})
    assert arguments.keys() == PARAMETERS.keys()
    assert RunnerSettings(**arguments).as_arguments() == arguments


@pytest.mark.parametrize("cls", [RunnerSettings, EnvSettings, Randomness])
def test_every_setting_has_a_docstring(cls: type) -> None:
    [tree] = [
        node
        for node in ast.parse(Path(module.__file__).read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    documented = {
        before.target.id
        for before, node in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
    }
    assert documented == {each.name for each in fields(cls)}  # type: ignore[arg-type]  # each of them is a dataclass


def test_settings_that_belong_together() -> None:
    with pytest.raises(IncompleteSettingsError, match="train_dataloader is given without train_cfg and optim_wrapper"):
        RunnerSettings(model=MODEL, work_dir="w", train_dataloader={})
    with pytest.raises(IncompleteSettingsError, match="param_scheduler is given without optim_wrapper"):
        RunnerSettings(model=MODEL, work_dir="w", param_scheduler={})
    with pytest.raises(SettingsError, match="nan_policy must be one of warn, stop, skip, rollback, got 'halt'"):
        RunnerSettings(model=MODEL, work_dir="w", nan_policy="halt")
    RunnerSettings(model=MODEL, work_dir="w", val_dataloader={}, val_cfg={"loss": True})


def test_environment_takes_keys_of_other_code() -> None:
    settings = EnvSettings.of({"cudnn_benchmark": True, "mine": 1})
    assert (settings.cudnn_benchmark, settings.dist_cfg, settings.resource_limit) == (True, None, 4096)
    setup_environment({"mine": 1, "mp_cfg": None}, "none")
