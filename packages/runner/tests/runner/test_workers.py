"""Loader workers whose run was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from eng.runner.loops import BaseLoop

# The process is killed before its workers are ready: torch's own watch of the parent starts after the worker's function.
SCRIPT = """
import os, signal, sys, time
from torch.utils.data import DataLoader
from eng.runner.assemble.workers import WorkerStart

def slow(worker_id):
    print(os.getpid(), flush=True)
    time.sleep(1)

if __name__ == "__main__":
    loader = DataLoader(list(range(8)), num_workers=2, worker_init_fn=WorkerStart(slow), multiprocessing_context=sys.argv[1])
    iterator = iter(loader)
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(90)
@pytest.mark.parametrize(("method", "seconds"), [("fork", 0.4), ("forkserver", 20.0)])
def test_workers_end_with_a_run_that_was_killed_as_they_started(tmp_path, method, seconds) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script), method, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    workers = [int(run.stdout.readline()) for _ in range(2)]
    if method == "forkserver":  # its workers import torch first: the run is killed as soon as they have begun
        run.kill()
    run.wait(30)
    end = time.monotonic() + 20
    while any(map(is_there, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(is_there, workers))


# A run in a cycle with its loader, as every runner is, is left to the garbage collector.
ENDED_RUN = """
import gc, multiprocessing, sys, tempfile, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from eng.model import BaseModel
from eng.runner import Runner

class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
    def forward(self, inputs, targets, mode="tensor"):
        return {"loss": (self.layer(inputs) - targets).square().mean()}

def loader():
    data = TensorDataset(torch.randn(8, 3), torch.randn(8, 1))
    return DataLoader(data, batch_size=4, num_workers=1, persistent_workers=True)

if __name__ == "__main__":
    length = dict(by_epoch=False, max_iters=3) if sys.argv[1] == "iterations" else dict(max_epochs=2)
    runner = Runner(
        Line(), tempfile.mkdtemp(), train_dataloader=loader(), train_cfg=length, log_level="ERROR",
        val_dataloader=dict(a=loader(), b=loader()), val_cfg=dict(loss=True), val_evaluator=[],
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
    )
    runner.train()
    print(len(multiprocessing.active_children()))
    runner.val()
    print(len(multiprocessing.active_children()))
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("unit", ["epochs", "iterations"])
def test_the_end_of_training_ends_persistent_workers(tmp_path, unit) -> None:
    script = tmp_path / "run.py"
    script.write_text(ENDED_RUN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), unit], capture_output=True, text=True, timeout=80, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["0", "2"]  # a validation of its own starts those of its two sets again


class Prefetcher(BaseLoop):
    """Stands for a loop whose dataloader is a user's wrapper around a torch DataLoader."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataloader = SimpleNamespace(loader=loader)

    def run(self) -> None:
        pass


def test_workers_inside_a_wrapper_end_too() -> None:
    loader = DataLoader([1, 2], num_workers=1, persistent_workers=True)
    iterator = iter(loader)
    (worker,) = iterator._workers
    del iterator
    Prefetcher(loader).end_workers()
    worker.join(60)
    assert worker.exitcode is not None
