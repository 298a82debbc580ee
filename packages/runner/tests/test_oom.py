"""``on_oom="split"``: a step that runs out of memory is repeated in parts, and the training is the same."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.model import BaseModel
from eng.optim import OptimWrapper
from eng.runner import Runner, SettingsError, is_out_of_memory
from eng.runner.oom import SplitStep, split_batch


class Net(BaseModel):
    """A net that runs out of memory with more than `most` samples, in the middle of its forward or backward."""

    def __init__(self, most: int | None = None, where: str = "forward", weighted: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.register_buffer("steps", torch.zeros(()))
        self.most, self.where, self.weighted = most, where, weighted
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> Any:
        self.sizes.append(len(x))
        self.steps += 1
        hidden = self.layers[1](self.layers[0](x))
        if self.most is not None and len(x) > self.most:
            if self.where == "forward":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            hidden.register_hook(self._break)  # the last layer has its gradients by then
        losses = (self.layers[2](hidden) - y).square().squeeze(1)
        if not self.weighted:
            return {"loss": losses.mean()}
        weights = 1 + (x[:, 0] > 0).float()
        return {"loss": (weights * losses).sum() / weights.sum(), "loss_weight": weights.sum()}

    def _break(self, gradient: torch.Tensor) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")


def train(folder: Path, model: Net, optimizer: str = "Adam", **settings: Any) -> tuple[Net, list[float]]:
    x = torch.randn(22, 3, generator=torch.Generator().manual_seed(1))
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True).sin())
    curve: list[float] = []
    wrapper = {"optimizer": {"type": optimizer, "lr": 0.05}, **settings.pop("optim_wrapper", {})}
    from eng.hooks import Hook

    class Curve(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            curve.append(float(outputs["loss"]))

    Runner(
        model, str(folder), train_dataloader=torch.utils.data.DataLoader(data, batch_size=8),
        train_cfg={"max_epochs": 4}, optim_wrapper=wrapper, custom_hooks=[Curve()], log_level="ERROR",
        default_hooks={"checkpoint": None}, **settings,
    ).train()  # fmt: skip
    return model, curve


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("weighted", [False, True], ids=["mean", "weighted"])
@pytest.mark.parametrize("counts", [1, 2])
@pytest.mark.parametrize("most", [1, 3])
def test_curve_and_weights_equal_those_of_the_complete_batch(
    where: str, weighted: bool, counts: int, most: int, tmp_path: Path
) -> None:
    settings = {"optim_wrapper": {"accumulative_counts": counts, "clip_grad": {"max_norm": 1.0}}}
    whole, expected = train(tmp_path / "whole", Net(weighted=weighted), **settings)
    split, curve = train(tmp_path / "split", Net(most, where, weighted), on_oom="split", **settings)
    assert curve == pytest.approx(expected, abs=1e-5)
    for parameter, reference in zip(split.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(parameter, reference, atol=1e-5, rtol=0)
    assert max(split.sizes[4:]) <= most
    # Failed attempts leave no trace in buffers: each part counts once.
    tries = [size for size in split.sizes if size > most]
    assert int(split.steps) == len(split.sizes) - len(tries)


def test_without_it_the_error_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        train(tmp_path, Net(most=3))


def test_single_sample_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        train(tmp_path, Net(most=0), on_oom="split")


def test_memory_that_runs_out_in_the_update_ends_the_run() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.step = lambda *args, **kwargs: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory in step"))
    wrapper = OptimWrapper(optimizer)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory in step"):
        SplitStep(model, wrapper)((torch.zeros(4, 3), torch.zeros(4, 1)), wrapper)
    assert model.sizes == [4]


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="on_oom must be 'split' or None, got 'halve'"):
        train(tmp_path, Net(), on_oom="halve")
    with pytest.raises(SettingsError, match="works with one OptimWrapper, got object"):
        SplitStep(Net(), object())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_known(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_batches_of_all_shapes_are_split() -> None:
    x = torch.arange(5)
    assert [part["a"] for part in split_batch({"a": list("vwxyz"), "name": "set"}, 2)] == [["v", "w"], ["x", "y", "z"]]
    assert [part["name"] for part in split_batch({"a": list("vwxyz"), "name": "set"}, 2)] == ["set", "set"]
    first, second = split_batch((x, {"b": x, "n": 3}), 2)
    assert first[0].tolist() == [0, 1]
    assert second[1]["b"].tolist() == [2, 3, 4]
    assert second[1]["n"] == 3


SCRIPT = """
import resource, sys, torch
from torch import nn
from eng.model import BaseModel
from eng.runner import Runner

class Wide(BaseModel):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(4, width)
    def forward(self, x, y, mode='tensor'):
        return {'loss': self.layer(x).square().mean() * 0 + self.layer.weight[0].sum() - y.mean()}

def runner_of(width, folder):
    data = torch.utils.data.TensorDataset(torch.ones(64, 4), torch.ones(64))
    return Runner(Wide(width), folder, train_dataloader=torch.utils.data.DataLoader(data, batch_size=64), on_oom='split',
                  train_cfg=dict(max_epochs=1), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                  default_hooks=dict(checkpoint=None))

torch.set_num_threads(1)
runner_of(8, sys.argv[1] + '/small').train()  # loads what the first step of a process loads: triton alone takes 180 MB
runner = runner_of(2_000_000, sys.argv[1] + '/wide')
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000, used + 600_000_000))  # the batch takes 512 MB more than once
runner.train()
print('micro', runner.train_loop.split_step.micro_batch)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(330)
def test_memory_of_the_system_really_runs_out(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)
    # One arena: each thread's own would reserve address space, which the limit counts.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.rsplit("micro", 1)[1]) <= 16
    assert "Memory ran out with a micro-batch of 64 samples" in done.stderr + done.stdout
