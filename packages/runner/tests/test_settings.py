"""The settings of a run stand in one place: signature, defaults, checks and schema agree with it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from eng.model import BaseModel
from eng.registry import MODELS, RUNNERS, Finding, Node, Schema, check, isolated_registries
from eng.runner import Runner
from eng.runner import settings as module
from eng.runner.assemble.loops import build_train_loop
from eng.runner.environment import setup_environment
from eng.runner.errors import IncompleteSettingsError, SettingsError
from eng.runner.schema import SCHEMA
from eng.runner.settings import EnvSettings, Randomness, RunnerSettings, defaults
from eng.runner.spec import arguments_from_cfg, check_config, hint_block, takes_fields_of

PARAMETERS = inspect.signature(Runner).parameters
MODEL: Any = {"type": "ToyModel"}


def test_signature_of_the_runner_shows_settings_and_defaults() -> None:
    assert list(PARAMETERS)[:3] == ["model", "work_dir", "train_dataloader"]
    assert list(PARAMETERS)[-2:] == ["loss", "on_oom"]
    shown = {name: PARAMETERS[name].default for name in ("model", "launcher", "randomness", "env_cfg")}
    assert shown == {
        "model": inspect.Parameter.empty,
        "launcher": "none",
        "randomness": {"seed": None},
        "env_cfg": {"dist_cfg": {"backend": "nccl"}},
    }


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "Runner needs 'model' and 'work_dir'"),
        ((MODEL,), {}, "Runner needs 'work_dir'"),
        ((MODEL, "w"), {"work_dir": "v"}, "Runner: multiple values for argument 'work_dir'"),
        ((MODEL, "w"), {"randomnes": {}}, "Runner takes no argument 'randomnes'; did you mean 'randomness'?"),
        ((MODEL, "w", *[None] * 50), {}, "Runner: too many positional arguments"),
    ],
    ids=["both missing", "missing", "twice", "unknown", "too many"],
)
def test_wrong_arguments_name_the_runner(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        Runner(*args, **kwargs)


@dataclass
class Size:
    width: int
    height: int = 1

    def __post_init__(self) -> None:
        if self.width < 0:
            raise TypeError("a width is not negative")


class Box:
    @takes_fields_of(Size)
    def __init__(self, size: Size) -> None:
        """Takes a size."""
        self.size = size
        if size.height == 0:
            raise TypeError("a box is not flat")


def test_types_of_the_settings_are_those_of_the_runner() -> None:
    hints = get_type_hints(Runner.__init__)
    assert set(PARAMETERS) <= set(hints)
    assert (hints["work_dir"], hints["init_weights"]) == (str, bool)
    assert PARAMETERS["init_weights"].annotation is bool
    schema = Schema(sections={"run": Node(RUNNERS)}, keys=frozenset({"run"}))
    findings = check({"run": {"type": "Runner", "model": {}, "work_dir": 3}}, schema)
    assert [str(finding) for finding in findings] == ["run.work_dir: Runner takes str for 'work_dir', not int 3"]


def test_fields_become_the_arguments_of_a_constructor() -> None:
    assert Box(3, height=2).size == Size(3, 2)
    assert str(inspect.signature(Box)) == "(width: int, height: int = 1) -> None"
    assert Box.__init__.__doc__ == "Takes a size."


@pytest.mark.parametrize(
    ("width", "height", "message"), [(-1, 1, "a width is not negative"), (1, 0, "a box is not flat")]
)
def test_type_errors_of_the_dataclass_and_the_body_keep_their_text(width: int, height: int, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        Box(width, height)


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


class OldRunner(Runner):
    """A subclass with the constructor of MMEngine, which knows neither strategies nor compilation."""

    def __init__(self, model: Any, work_dir: str, train_dataloader: Any = None, train_cfg: Any = None,
                 optim_wrapper: Any = None, default_hooks: Any = None, launcher: str = "none", env_cfg: Any = None,
                 log_level: str = "INFO", default_scope: str = "eng", randomness: Any = None, cfg: Any = None) -> None:  # fmt: skip
        super().__init__(model, work_dir, log_level=log_level, cfg=cfg)


def toy_config(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"model": {"type": "ToyModelOfSettings"}, "work_dir": str(folder), "log_level": "ERROR", **settings}


@pytest.fixture
def toy_model() -> Iterator[None]:
    class ToyModelOfSettings(BaseModel):
        def forward(self, *inputs: Any, mode: str = "tensor") -> Any: ...

    with isolated_registries():
        MODELS.register_module(module=ToyModelOfSettings)
        RUNNERS.register_module(module=OldRunner)
        yield


def test_subclass_with_the_constructor_of_mmengine(toy_model: None, tmp_path: Path, caplog: Any) -> None:
    cfg = toy_config(tmp_path, runner_type="OldRunner", compile=False)
    assert type(RUNNERS.build(cfg)) is OldRunner
    with caplog.at_level("WARNING", logger="eng.runner"):
        OldRunner.from_cfg({**cfg, "nan_policy": "stop"})
    assert "OldRunner takes no 'nan_policy': left out" in caplog.messages


@pytest.mark.parametrize("scope", [None, ""])
def test_no_default_scope_is_the_root_scope(toy_model: None, tmp_path: Path, scope: str | None) -> None:
    runner = Runner.from_cfg(toy_config(tmp_path, default_scope=scope))
    assert runner.default_scope == "eng"


def test_misspelt_setting_is_told_with_the_near_name() -> None:
    with pytest.raises(TypeError, match="Runner takes no argument 'optimizer_wrapper'; did you mean 'optim_wrapper'"):
        Runner(MODEL, "w", optimizer_wrapper={})  # type: ignore[call-arg]  # that is the mistake


def test_data_preprocessor_of_the_run_is_for_its_model_only(toy_model: None, tmp_path: Path) -> None:
    runner = Runner.from_cfg(toy_config(tmp_path, data_preprocessor={"type": "ImgDataPreprocessor"}))
    assert type(runner.model.data_preprocessor).__name__ == "ImgDataPreprocessor"
    other: Any = runner.build_model({"type": "ToyModelOfSettings"})
    assert type(other.data_preprocessor).__name__ == "BaseDataPreprocessor"


def test_hints_are_one_block_of_at_most_ten_lines(caplog: Any) -> None:
    hooks = {f"hook_{number}": {"type": "EMAHook"} for number in range(3)}
    evaluators = [{"type": "DumpResults", "out_file_path": "a.pkl", f"unknown_{number}": 1} for number in range(20)]
    cfg = {"model": {"type": "torch.nn.Flatten"}, "work_dir": "w", "default_hooks": hooks, "test_evaluator": evaluators}
    cfg["optim_wraper"] = {}
    with caplog.at_level("WARNING", logger="eng.runner"):
        check_config(cfg)
    [block] = caplog.messages
    lines = block.splitlines()
    assert lines[0] == "the config may be wrong, 21 hints (all: eng config check FILE):"
    assert len(lines) == 10
    assert lines[-1] == "  and 13 more"


def test_equal_hints_are_grouped() -> None:
    hints = [Finding("unknown-key", f"a[{number}].sed", "no key 'sed'", is_certain=False) for number in range(3)]
    assert hint_block(hints, "my file.py").splitlines() == [
        "the config may be wrong, 3 hints (all: eng config check 'my file.py'):",
        "  a[0].sed: no key 'sed' (and at 2 more places)",
    ]


def test_type_and_by_epoch_both_choose_the_loop() -> None:
    with pytest.raises(RuntimeError, match="names both 'type' and 'by_epoch'") as caught:
        build_train_loop({"type": "EpochBasedTrainLoop", "by_epoch": True, "max_epochs": 1}, None, None)
    assert isinstance(caught.value, SettingsError)
