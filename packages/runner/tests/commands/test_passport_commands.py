"""`eng runs`, `eng diff`, `eng reproduce`, and the passport that they read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import torch

from eng.config import Config
from eng.logging import MessageHub
from eng.model import BaseModel
from eng.registry import DATASETS, MODELS
from eng.runner import Runner
from eng.runner._commands import _checkpoint_of
from eng.runner.errors import RunInterrupted
from eng.runner.passport._commands import diff, reproduce, runs
from eng.runner.passport.code import CodeVersion
from eng.runner.passport.ending import ending
from eng.runner.passport.plan import plan_of
from eng.runner.passport.record import Passport
from eng.runner.passport.runs import compare, find_start

CONFIG = """
model = dict(type="PassportModel")
train_dataloader = dict(dataset=dict(type="PassportData"), batch_size=4, num_workers=0, shuffle=True)
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9))
{extra}
"""
CASES = {
    "no seed": "",
    "seed": "randomness = dict(seed=7)",
    "adam": "optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.01))",
    "accumulation": "optim_wrapper['accumulative_counts'] = 2",
    "iterations": "train_cfg = dict(by_epoch=False, max_iters=7)",
    "average": "custom_hooks = [dict(type='EMAHook')]",
    "schedule": "param_scheduler = dict(type='CosineAnnealingLR', T_max=2, convert_to_iter_based=True)",
    "workers": "train_dataloader['num_workers'] = 2",
    "bfloat16": "optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(type='SGD', lr=0.1))",
    "endless": "train_dataloader['sampler'] = dict(type='InfiniteSampler')\ntrain_dataloader.pop('shuffle')\n"
    "train_cfg = dict(by_epoch=False, max_iters=7)",
}


@DATASETS.register_module(force=True)
class PassportData(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"inputs": torch.full((3,), float(index)) / 16 + torch.rand(3)}


@MODELS.register_module(force=True)
class PassportModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(3, 1)
        self.drop = torch.nn.Dropout(0.3)

    def forward(self, inputs: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        batch = torch.stack(list(inputs)) if isinstance(inputs, list) else inputs
        return {"loss": (self.fit(self.drop(batch)) - 1).square().mean()}


def trained(folder: Path, extra: str = "", **more: Any) -> Path:
    """Trains a config and gives the folder of the start."""
    path = folder / "config.py"
    folder.mkdir(exist_ok=True)
    path.write_text(CONFIG.format(extra=extra), encoding="utf-8")
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({"work_dir": str(folder / "run"), "log_level": "ERROR", **more})
    runner = Runner.from_cfg(cfg)
    runner.train()
    return Path(runner.log_dir)


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    name = (work_dir / "last_checkpoint").read_text(encoding="utf-8").strip()
    state: dict[str, torch.Tensor] = torch.load(work_dir / Path(name).name, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_reproduced_bit_by_bit(case: str, tmp_path: Path, call: Any) -> None:
    start = trained(tmp_path, CASES[case])
    torch.manual_seed(999)
    status, printed = call(reproduce, start, "--work-dir", tmp_path / "again", "--trust")
    assert status == 0, printed
    before, after = weights(tmp_path / "run"), weights(tmp_path / "again")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_reproduce_executes_nothing_without_trust(tmp_path: Path, call: Any) -> None:
    start = trained(tmp_path)
    trap = tmp_path / "trap"
    config = start / "run_config.py"
    config.write_text(f"open({str(trap)!r}, 'w')\n" + config.read_text(encoding="utf-8"), encoding="utf-8")
    status, printed = call(reproduce, start)
    assert status == 0
    assert "--trust starts it" in printed
    call(runs, tmp_path)
    call(diff, start, start)
    assert not trap.exists()


def test_reproduce_says_what_it_cannot_restore(tmp_path: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    start = trained(tmp_path)
    path = start / "passport.json"
    passport = json.loads(path.read_bytes())
    passport["versions"]["torch"] = "0.4.1"
    passport["parent"] = {"checkpoint": "/elsewhere/epoch_1.pth"}
    path.write_text(json.dumps(passport), encoding="utf-8")
    plan = plan_of(find_start(start))
    assert plan.config == start / "run_config.py"
    assert plan.seed == passport["seeds"]["seed"]
    assert plan.lost == [
        f"versions, torch: 0.4.1 then and {torch.__version__} now",
        "the checkpoint /elsewhere/epoch_1.pth, from which the run went on, is gone: it starts anew",
    ]


def test_a_resumed_run_is_started_again_from_its_checkpoint(
    tmp_path: Path, told: Callable[..., tuple[int, list[str]]]
) -> None:
    trained(tmp_path)
    longer = "train_cfg = dict(by_epoch=True, max_epochs=3)\noptim_wrapper['optimizer']['lr'] = 0.5"
    start = trained(tmp_path, longer, resume=dict(take=["optim_wrapper.optimizer.lr"]))
    again = tmp_path / "again"
    assert told(start, "--trust", "--work-dir", again) == (0, [])
    before, after = weights(tmp_path / "run"), weights(again)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((find_start(again).folder / "end.json").read_bytes())["iter"] == 12
    checkpoint = tmp_path / "run" / "epoch_2.pth"
    os.utime(checkpoint)
    line = f"the checkpoint {checkpoint}, from which the run went on, has been written since"
    assert told(start) == (0, [line])


NEIGHBOUR = """
import torch
from eng.registry import DATASETS
from {name}_numbers import SCALE
@DATASETS.register_module(force=True)
class NeighbourData(torch.utils.data.Dataset):
    def __init__(self):
        self.values = torch.load(__file__.replace("parts.py", "values.pt"))
    def __len__(self):
        return len(self.values)
    def __getitem__(self, index):
        return {{"inputs": self.values[index] * SCALE}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository whose config imports a module beside it, which imports another one; a run of it below ``run``."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    monkeypatch.chdir(folder)
    # Importing twice under one name in a process would give the first module.
    name = f"neighbour_{tmp_path.name.replace('-', '_')}"
    (folder / f"{name}_parts.py").write_text(NEIGHBOUR.format(name=name), encoding="utf-8")
    (folder / f"{name}_numbers.py").write_text("SCALE = 1.0\n", encoding="utf-8")
    torch.save(torch.rand(16, 3), folder / f"{name}_values.pt")
    imports = (
        f"custom_imports = dict(imports=['{name}_parts'])\ntrain_dataloader['dataset'] = dict(type='NeighbourData')"
    )
    (folder / "config.py").write_text(CONFIG.format(extra=imports), encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    cfg = Config.fromfile("config.py")
    cfg.merge_from_dict({"work_dir": "run", "log_level": "ERROR"})
    Runner.from_cfg(cfg).train()
    yield folder
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]


@pytest.fixture
def told(call: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[str]]]:
    """Gives the exit status of ``eng reproduce WORDS``, and what it says that cannot be restored."""
    lines: list[str] = []

    def run(*words: object) -> tuple[int, list[str]]:
        lines.clear()
        status = call(reproduce, *words)[0]
        return status, list(lines)

    monkeypatch.setattr("eng.runner.passport._commands._tell_lost", lines.extend)
    return run


def test_reproduce_of_an_unchanged_run_says_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[..., tuple[int, list[str]]]
) -> None:
    (project / "new_log.txt").write_text("no code", encoding="utf-8")
    assert told(project / "run") == (0, [])
    monkeypatch.chdir(tmp_path)  # another folder than that of the run
    assert told(Path("project/run"), "--trust", "--work-dir", "again") == (0, [])
    before, after = weights(project / "run"), weights(tmp_path / "again")
    assert all(torch.equal(before[name], after[name]) for name in before)
    first, second = find_start(project / "run"), find_start(tmp_path / "again")
    assert [row for row in compare(first, second) if row[0] != "config"] == []


def test_reproduce_says_what_has_changed(project: Path, told: Callable[..., tuple[int, list[str]]]) -> None:
    numbers = next(project.glob("*_numbers.py"))
    numbers.write_text("SCALE = 2.0\n", encoding="utf-8")
    start = find_start(project / "run")
    passport = json.loads((start.folder / "passport.json").read_bytes())
    passport["packages"] = [line.replace("click==", "click==0.") for line in passport["packages"]]
    (start.folder / "passport.json").write_text(json.dumps(passport), encoding="utf-8")
    status, lines = told(project / "run")
    assert status == 0
    assert len(lines) == 3, lines
    assert lines[0].startswith("code, diff: None then and ")
    assert lines[1].startswith(f"code, file {numbers.stem}: {numbers} has changed (")
    assert lines[2].startswith("packages, click: 0.")
    git(project, "checkout", "-q", ".")
    values = next(project.glob("*_values.pt"))
    torch.save(torch.rand(15, 3), values)
    lines = told(project / "run", "--trust")[1]
    assert [line.partition(":")[0] for line in lines[-2:]] == ["data, length", "data, fingerprint"]
    next(project.glob("*_parts.py")).unlink()
    assert any(line.endswith("_parts.py is gone") for line in told(project / "run")[1])


def test_passport_holds_what_a_run_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-1234")
    monkeypatch.setattr("sys.orig_argv", ["python", "train.py", "--token=very-secret-1234"])
    start = trained(tmp_path, "randomness = dict(seed=7)")
    text = (start / "passport.json").read_text(encoding="utf-8")
    passport = json.loads(text)
    assert "very-secret" not in text
    assert passport["command"] == ["python", "train.py", "--token=${SOME_API_KEY}"]
    assert "SOME_API_KEY" in passport["environment"]["names"]
    assert passport["seeds"]["seed"] == 7
    assert passport["data"]["length"] == 16
    assert passport["world_size"] == 1
    assert passport["config"]["optim_wrapper.optimizer.lr"] == "0.1"
    assert passport["origins"]["optim_wrapper.optimizer.lr"] == f"{tmp_path / 'config.py'}:5"
    assert any(line.startswith("torch==") for line in passport["packages"])
    assert json.loads((start / "end.json").read_bytes())["status"] == "done"
    resumed = trained(tmp_path, "randomness = dict(seed=7)", resume=True)
    assert json.loads((resumed / "passport.json").read_bytes())["parent"]["checkpoint"].endswith("epoch_2.pth")


def test_writing_takes_less_than_50_ms(tmp_path: Path) -> None:
    keys = {f"section_{number}.key": "0.1" for number in range(500)}
    code, best = CodeVersion(None), 1.0
    for number in range(5):
        began = time.thread_time()
        Passport(tmp_path / str(number), code).write("train", {"config": keys}, Config({}), {"seed": 1}, None)
        best = min(best, time.thread_time() - began)
    assert best < 0.05


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def test_code_version_is_that_of_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "config.py").write_text("lr = 1\n", encoding="utf-8")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    clean = CodeVersion(tmp_path)
    assert (clean.revision, clean.diff) == (git(tmp_path, "rev-parse", "HEAD").strip(), "")
    (tmp_path / "config.py").write_text("lr = 2\n", encoding="utf-8")
    (tmp_path / "new.py").write_text("", encoding="utf-8")
    # A repository must not start programs of its own.
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path / 'trap'}")
    git(tmp_path, "config", "diff.external", f"touch {tmp_path / 'trap'}")
    changed = CodeVersion(tmp_path)
    assert "-lr = 1\n+lr = 2\n" in changed.diff
    assert "# not in git: new.py" in changed.diff
    assert not (tmp_path / "trap").exists()


def test_runs_lists_status_and_diff_what_differs(tmp_path: Path, call: Any) -> None:
    first = trained(tmp_path / "a")
    second = trained(tmp_path / "b", "optim_wrapper['optimizer']['lr'] = 0.5")
    (second / "end.json").unlink()
    printed = call(runs, tmp_path)[1]
    rows = {line.split()[0]: line.split()[1:3] for line in printed.splitlines()}
    assert rows[str(first)] == ["done", "8"]
    assert rows[str(second)][0] == "running"  # of this process, and without an end
    passport = json.loads((second / "passport.json").read_bytes())
    gone = subprocess.Popen(["true"])
    gone.wait(20)
    host = passport["host"]
    for changes in ({"pid": gone.pid}, {"started": "0:0"}):  # the second: the number is that of a later process
        passport["host"] = {**host, **changes}
        (second / "passport.json").write_text(json.dumps(passport), encoding="utf-8")
        assert "killed" in call(runs, tmp_path)[1]
    printed = call(diff, first, second)[1]
    lines = [line.split() for line in printed.splitlines()]
    assert ["config", "optim_wrapper.optimizer.lr", "0.1", "0.5"] in lines
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(click.ClickException, match=r"holds no runs: no file passport.json lies below it"):
        call(runs, empty)


def test_each_name_of_a_run_is_taken_by_each_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, told: Callable[..., tuple[int, list[str]]]
) -> None:
    monkeypatch.chdir(tmp_path)
    first = trained(tmp_path / "work_dirs", work_dir="work_dirs/config")
    listed = [line.split()[0] for line in call(runs)[1].splitlines()[1:]]
    assert listed == [f"work_dirs/config/{first.name}"]
    for name in (listed[0], f"config/{first.name}", first.name, f"config_{first.name}", "work_dirs/config", first):
        assert call(diff, name, first)[1] == "no difference is recorded\n"
        assert told(name) == (0, [])
        for option in ("--resume", "--checkpoint"):
            assert Path(_checkpoint_of(str(name), option)).absolute() == tmp_path / "work_dirs/config/epoch_2.pth"
    assert _checkpoint_of("work_dirs/config/epoch_1.pth", "--resume") == "work_dirs/config/epoch_1.pth"
    near = f"config/{first.name[:-1]}"
    with pytest.raises(click.ClickException, match=f"there is no run work_dirs/{near}.*; did you mean '{listed[0]}'"):
        call(diff, f"work_dirs/{near}", first)


def test_runs_shows_the_best_value_of_a_metric_and_says_which_value_is_shown(tmp_path: Path, call: Any) -> None:
    folder = tmp_path / "20260101_120000"
    folder.mkdir()
    (folder / "passport.json").write_text('{"began": "1"}', encoding="utf-8")
    hub = MessageHub("the run whose end is written")
    for accuracy, error, score in ((0.5, 3.0, 1.0), (0.9, 1.0, 2.0), (0.7, 2.0, 3.0)):
        hub.update_scalar("val/accuracy", accuracy)
        hub.update_scalar("val/error", error)
        hub.update_scalar("val/anything", score)
    run = SimpleNamespace(message_hub=hub, hooks=[], epoch=3, iter=11)
    status, facts = ending(run, RunInterrupted("SIGINT", iterations=12))
    assert (status, facts["iter"]) == ("interrupted", 12)
    (folder / "end.json").write_text(json.dumps({"status": status, **facts}), encoding="utf-8")
    printed = call(runs, tmp_path)[1]
    assert "accuracy: 0.9 (best), error: 1 (best), anything: 3 (last)" in printed
    assert printed.splitlines()[1].split()[:3] == [str(folder), "interrupted", "12"]
