"""A run whose Slurm job is put back into the queue, and that goes on when Slurm runs it again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.hooks import Hook
from eng.hooks.requeue import requeue_job, slurm_job
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.errors import RunInterrupted


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": (self.layer(torch.stack(list(inputs))) - 1).square().mean()}


class Signal(Hook):
    """Sends a signal to this process at an iteration, as Slurm does before the time is over."""

    def __init__(self, name: str, iteration: int) -> None:
        self.number, self.iteration = getattr(signal, name), iteration

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)


class Samples(Hook):
    """The inputs of each iteration."""

    def __init__(self) -> None:
        self.values: list[list[float]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.values.append([float(x) for x in data_batch["inputs"]])


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A program `scontrol` that writes its arguments down; what they are stands in the file."""

    def install(status: int = 0, message: str = "") -> Path:
        folder, calls = tmp_path / "bin", tmp_path / "calls.txt"
        folder.mkdir(exist_ok=True)
        program = folder / "scontrol"
        program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\necho "{message}" >&2\nexit {status}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "4711")
        return calls

    return install


def run(work_dir: Path, *hooks: Hook, requeue: bool = True, **settings: Any) -> Runner:
    torch.manual_seed(0)
    return Runner(
        Line(),
        str(work_dir),
        train_dataloader={
            "dataset": [{"inputs": torch.tensor([float(i)])} for i in range(6)],
            "batch_size": 1,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
        },
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.001, "momentum": 0.9}},
        custom_hooks=list(hooks),
        randomness={"seed": 1},
        preemption={"requeue": requeue},
        log_level="ERROR",
        **settings,
    )


def test_a_job_out_of_time_is_requeued_and_goes_on_exactly(
    scontrol: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, whole, first, second = scontrol(), Samples(), Samples(), Samples()
    expected = run(tmp_path / "whole", whole).train().state_dict()
    assert not calls.exists()
    with pytest.raises(RunInterrupted, match="SIGUSR1"):
        run(tmp_path / "run", first, Signal("SIGUSR1", 7)).train()
    assert calls.read_text() == "requeue 4711\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")  # what Slurm sets for the second start of a job
    weights = run(tmp_path / "run", second).train().state_dict()
    assert first.values + second.values == whole.values
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert calls.read_text() == "requeue 4711\n"


@pytest.mark.parametrize(("name", "requeue"), [("SIGINT", True), ("SIGTERM", False)])
def test_ctrl_c_and_other_jobs_are_not_requeued(
    scontrol: Callable[..., Path], tmp_path: Path, name: str, requeue: bool
) -> None:
    calls = scontrol()
    with pytest.raises(RunInterrupted, match=name):
        run(tmp_path / "run", Signal(name, 2), requeue=requeue).train()
    assert not calls.exists()


def test_a_run_that_saves_nothing_is_not_requeued(scontrol: Callable[..., Path], tmp_path: Path) -> None:
    """It would begin anew each time, for ever."""
    calls = scontrol()
    with pytest.raises(RunInterrupted, match="SIGUSR1"):
        run(tmp_path / "run", Signal("SIGUSR1", 2), default_hooks={"checkpoint": None}).train()
    assert not calls.exists()


def test_a_task_of_an_array_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4713")
    assert slurm_job() == "4713"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert slurm_job() == "4711_2"


def test_a_refusal_says_how_to_go_on(scontrol: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    scontrol(1, "Requested operation is presently disabled")
    assert not requeue_job()
    assert "`scontrol requeue 4711` failed (exit status 1, Requested operation is presently disabled)" in caplog.text
    assert "--resume" in caplog.text


def test_a_machine_without_slurm_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not requeue_job()
    assert "SLURM_JOB_ID is not set" in caplog.text
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not requeue_job()
    assert "FileNotFoundError" in caplog.text
