"""The walks of `docs/architecture.md`: each function named there is passed, in that order, and none twice."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from eng.config import Config
from eng.model import BaseModel
from eng.runner import Runner

if sys.version_info < (3, 11):
    pytest.skip("code objects tell their qualified name from Python 3.11 on", allow_module_level=True)

PAGE = Path(__file__).resolve().parents[2] / "docs/architecture.md"
# A place that stands for a function of the user, and what is written in words.
WORDS = re.compile(r"`([A-Za-z_.]+)(?:\([^)]*\))?`")


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x, mode="tensor"):
        return {"loss": self.layer(x).mean()}


def walk(title: str) -> list[str]:
    """The functions of the paragraph that begins with a bold title, up to its first full stop."""
    text = PAGE.read_text(encoding="utf-8").split(f"**{title}**", 1)[1].split("\n\n", 1)[0]
    steps = re.sub(r"^ \([^)]*\)", "", text).split(". ", 1)[0].replace("\n", " ").split("→")
    names = [WORDS.findall(step.split("(which")[0].split(", ")[0]) for step in steps]
    return [by_step[-1] for by_step in names if by_step]


def recorded(act: Callable[[], object]) -> list[str]:
    """The functions of eng that a call passes, by module and qualified name."""
    calls: list[str] = []

    def note(frame, event, _):
        if event == "call" and "/eng/" in frame.f_code.co_filename:
            calls.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return calls


def assert_passed_in_order(steps: list[str], calls: list[str]) -> None:
    """Fails at the first step that is not passed behind the step before."""
    assert len(steps) > 2, f"the page names only {steps}"
    position = 0
    for before, step in zip(["the start", *steps], steps, strict=False):
        ending = f".{step.removeprefix('.')}"
        passed = next((i for i in range(position, len(calls)) if f".{calls[i]}".endswith(ending)), None)
        assert passed is not None, f"{step} is not passed behind {before}"
        position = passed + 1


@pytest.fixture
def runner(tmp_path):
    torch.manual_seed(0)
    data = DataLoader([{"x": torch.ones(2)} for _ in range(4)], batch_size=2)
    optim_wrapper = {"optimizer": {"type": "SGD", "lr": 0.1}}
    hooks = {"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 1}}
    return Runner(
        Toy(), str(tmp_path), data, train_cfg={"max_epochs": 1}, optim_wrapper=optim_wrapper, default_hooks=hooks
    )


def test_a_batch_passes_the_functions_that_the_page_names(runner):
    steps = walk("A batch")
    assert steps[0] == "TrainLoop.run_iter"
    iterations = []
    run_iter = runner.train_loop.run_iter
    runner.train_loop.run_iter = lambda *args: iterations.append(recorded(lambda: run_iter(*args)))
    runner.train()
    assert len(iterations) == 2
    calls = iterations[-1]
    assert_passed_in_order(
        [step for step in steps if step not in ("before_train_iter", "after_train_iter", "forward")], calls
    )
    once = [
        step for step in steps if step not in ("Runner.call_hook", "HookList.call", "forward") and "_iter" not in step
    ]
    assert {step: sum(f".{call}".endswith(f".{step}") for call in calls) for step in once} == dict.fromkeys(once, 1)


def test_a_checkpoint_passes_the_functions_that_the_page_names(runner, tmp_path):
    runner.train()
    steps = walk("A checkpoint")[1:]
    calls = recorded(lambda: runner.save_checkpoint(str(tmp_path), "one.pth"))
    assert_passed_in_order([step for step in steps if "CheckpointWriter" not in step], calls)
    assert sum(call.endswith("RunState.collect") for call in calls) == 1


def test_a_key_of_a_config_passes_the_functions_that_the_page_names(tmp_path):
    (tmp_path / "base.py").write_text("a = 1\n", encoding="utf-8")
    (tmp_path / "child.py").write_text("_base_ = './base.py'\nb = 2\n", encoding="utf-8")
    calls = recorded(lambda: Config.fromfile(tmp_path / "child.py"))
    assert_passed_in_order(walk("A key of a config"), calls)
