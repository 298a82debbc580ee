"""`find_lr`, `find_batch_size` and `find_workers`: what they find, and that they leave no trace."""

from __future__ import annotations

import copy
import math
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import eng.tune._batch as batch_module
from eng.model import BaseModel
from eng.runner import Runner, SettingsError
from eng.tune import TuneError, find_batch_size, find_lr, find_workers
from eng.tune._batch import parse_bytes, search_largest, split_evenly
from eng.tune._lr import choose, search
from eng.tune._workers import fewest


class Noisy(BaseModel):
    """A model with everything that a step changes: weights, statistics, a counter, random numbers, a logged value."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.num_calls = 0

    def forward(self, x: torch.Tensor, mode: str = "tensor") -> Any:
        self.num_calls += 1
        random.random()
        np.random.rand()
        return {"loss": (self.layers(x) - x.sum(1, keepdim=True)).square().mean()}


def runner(folder: Path, **settings: Any) -> Runner:
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(32, 3))
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(1))
    defaults = {
        "train_dataloader": loader, "train_cfg": {"by_epoch": False, "max_iters": 12}, "log_level": "WARNING",
        "optim_wrapper": {
            "optimizer": {"type": "Adam", "lr": 0.01}, "clip_grad": {"max_norm": 1.0},
            "paramwise_cfg": {"custom_keys": {"layers.0": {"lr_mult": 0.1}}},
        },
        "randomness": {"seed": 3},
    }  # fmt: skip
    return Runner(Noisy(), str(folder), **{**defaults, **settings})


def everything(run: Runner) -> dict[str, Any]:
    wrapper = run.optim_wrapper
    return {
        "model": {name: value.clone() for name, value in run.model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in run.model.parameters()],
        "calls": run.model.num_calls, "mode": [module.training for module in run.model.modules()],
        "optimizer": copy.deepcopy(wrapper.state_dict()) if hasattr(wrapper, "state_dict") else copy.deepcopy(wrapper),
        "torch": torch.get_rng_state(), "python": random.getstate(), "numpy": np.random.get_state()[1].copy(),
        "loader": run.train_dataloader.sampler.generator.get_state(), "hub": copy.deepcopy(run.message_hub.state_dict()),
        "files": {str(path): path.read_bytes() for path in sorted(Path(run.work_dir).rglob("*")) if path.is_file()},
    }  # fmt: skip


def assert_same(one: Any, other: Any, path: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{path}.{index}")
    elif isinstance(one, (torch.Tensor, np.ndarray)):
        assert np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True), path
    elif hasattr(one, "__dict__") and type(one).__module__.startswith("eng."):
        assert_same(vars(one), vars(other), path)
    else:
        assert one == other, path


CALLS = {
    "lr": lambda run: run.tune("lr", num_iters=12, trial_iters=3, num_trials=2),
    "batch": lambda run: run.tune("batch", memory="100GB", largest=8),
    "workers": lambda run: run.tune("workers", counts=[0], seconds=0.05),
}


@pytest.mark.parametrize("setting", CALLS)
@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_run_stays_as_it_is_in_bits(setting: str, trained: bool, tmp_path: Path) -> None:
    run = runner(tmp_path)
    if trained:
        run.train()
    before = everything(run)
    CALLS[setting](run)
    assert_same(before, everything(run))


def test_training_after_a_search_equals_one_without(tmp_path: Path) -> None:
    plain, tuned = runner(tmp_path / "plain"), None
    plain.train()
    tuned = runner(tmp_path / "tuned")
    for call in CALLS.values():
        call(tuned)
    tuned.train()
    assert_same(plain.model.state_dict(), tuned.model.state_dict())


def test_config_leaves_no_file_and_no_generator_behind(config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = config()
    files, state = sorted(tmp_path.rglob("*")), torch.get_rng_state()
    found = find_lr(path, num_iters=20, trial_iters=5, num_trials=3)
    find_workers(path, counts=[0], seconds=0.05)
    assert sorted(tmp_path.rglob("*")) == files
    assert torch.equal(torch.get_rng_state(), state)
    assert found.current == 0.1


@pytest.mark.timeout(170)
@pytest.mark.parametrize("index", range(5))
def test_rate_is_within_a_factor_of_3_of_the_best_of_a_grid(index: int, tmp_path: Path) -> None:
    from lr_tasks import TASKS, Task

    task = Task(list(TASKS)[index])
    best, _ = task.best_of_grid()
    found = find_lr(task.runner(str(tmp_path)))
    assert best / 3 <= found.suggestion <= best * 3, (best, found.trials)


def test_groups_keep_their_ratios_and_picture_is_drawn(tmp_path: Path) -> None:
    run = runner(tmp_path)
    found = find_lr(run, num_iters=12, trial_iters=3, num_trials=2)
    assert found.current == 0.01
    assert found.suggestions == {"": found.suggestion}
    pytest.importorskip("matplotlib")
    found.draw(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_search_of_rates_finds_the_minimum_of_a_curve() -> None:
    def loss(rate: float) -> float:
        return math.inf if rate > 0.5 else (math.log10(rate) + 2) ** 2  # best at 0.01

    for start in (1e-4, 0.01, 0.4):
        trials = search(loss, start, 1e-6, 10, 20)
        assert 0.01 / 3**0.5 <= choose(trials) <= 0.01 * 3**0.5
        assert len(trials) <= 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "the range of learning rates is empty: low=1 must be above 0 and below high=0.1"),
        ({"low": 0.0}, "the range of learning rates is empty"),
        ({"num_iters": 2}, "a range test takes at least 10 steps"),
    ],
)
def test_range_that_is_empty_is_refused(arguments: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=message):
        find_lr(runner(tmp_path), **arguments)


def test_loss_that_is_never_finite_is_named(tmp_path: Path) -> None:
    run = runner(tmp_path)
    run.model.layers[0].weight.data.fill_(math.nan)
    with pytest.raises(TuneError, match="the loss is not finite at a learning rate of 1e-06"):
        find_lr(run)


def test_unknown_setting_and_run_without_training_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tune\(\) measures batch, lr, workers, not 'momentum'"):
        runner(tmp_path).tune("momentum")
    bare = Runner(Noisy(), str(tmp_path), log_level="ERROR")
    with pytest.raises(TuneError, match="nothing to train with"):
        bare.tune("lr")


# --- batch ---------------------------------------------------------------------------------------------------------

CURVES = {
    "line": lambda batch: 100 + 7 * batch,
    "steep": lambda batch: 1000 * batch,
    "flat": lambda batch: 50_000 + batch,
    "quadratic": lambda batch: 100 + batch * batch,
    "steps of an allocator": lambda batch: -(-(100 + 7 * batch) // 512) * 512,
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("start", [1, 16, 4096])
@pytest.mark.parametrize("is_device", [False, True], ids=["cpu", "device"])
def test_largest_batch_is_close_to_the_limit_in_eight_tries(curve: str, start: int, is_device: bool) -> None:
    limit = 100_000
    memory = CURVES[curve]

    def peak(batch: int) -> int | None:
        return None if is_device and memory(batch) > limit else memory(batch)

    tries = search_largest(peak, start, limit, None)
    assert len(tries) <= 8
    found = max(batch for batch, used in tries if used is not None and used <= limit)
    assert memory(found) >= 0.9 * limit or memory(found + 1) > limit


def test_dataset_bounds_the_batch() -> None:
    assert max(batch for batch, _ in search_largest(lambda batch: batch, 4, 10**9, 50)) == 50


def test_effective_batch_stays() -> None:
    for effective in range(1, 200):
        for largest in (1, 2, 7, 16, 64, 300):
            batch, counts = split_evenly(effective, largest)
            assert batch * counts == effective
            assert batch <= largest
    assert split_evenly(96, 40) == (32, 3)


@pytest.mark.parametrize(
    ("text", "value"), [("2GB", 2 * 10**9), ("512MiB", 2**29), ("1.5g", 1_500_000_000), (1000, 1000), ("7 kb", 7000)]
)
def test_bytes_are_read(text: Any, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "many", "-1GB", "0", "2TB", "GB"])
def test_other_texts_are_no_bytes(text: str) -> None:
    with pytest.raises(TuneError, match="memory is a number of bytes above 0, such as 2GB or 512MiB"):
        parse_bytes(text)


def test_cpu_needs_a_limit_and_an_impossible_one_is_named(config: Any, tmp_path: Path) -> None:
    with pytest.raises(TuneError, match="on the CPU a search for the batch size needs a limit: --memory 2GB"):
        find_batch_size(runner(tmp_path))
    with pytest.raises(TuneError, match="not even a batch of 1 sample fits into 1,000 bytes"):
        find_batch_size(config(), memory=1000)


def test_auto_scale_lr_is_said(tmp_path: Path) -> None:
    run = runner(tmp_path, auto_scale_lr={"enable": True, "base_batch_size": 2})
    note = find_batch_size(run, memory="100GB", largest=2).note
    assert "it would scale learning rates by 1 instead of 2. To keep them, set auto_scale_lr.base_batch_size=1" in note


def test_out_of_memory_error_of_a_device_ends_a_try(tmp_path: Path, monkeypatch: Any) -> None:
    run = runner(tmp_path)
    steps = batch_module._two_steps

    def limited(rehearsal: Any, batch: int) -> None:
        if batch > 13:
            raise torch.OutOfMemoryError("CUDA out of memory")
        steps(rehearsal, batch)

    monkeypatch.setattr(batch_module, "_two_steps", limited)
    found = find_batch_size(run, memory="100GB")
    assert found.largest in (12, 13)
    assert (found.batch_size, found.accumulative_counts) == (4, 1)


SCRIPT = """
import json, re, sys, torch
from torch import nn
from eng.config import Config
from eng.model import BaseModel
from eng.registry import MODELS, DATASETS
from eng.tune import find_batch_size

@MODELS.register_module()
class Wide(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 250_000)  # a sample takes 1 MB per activation
    def forward(self, x, mode='tensor'):
        return {'loss': torch.stack(list(x)).matmul(self.layer.weight.T).sin().square().mean()}

@DATASETS.register_module()
class Ones(torch.utils.data.Dataset):
    def __len__(self): return 4096
    def __getitem__(self, index): return {'x': torch.ones(4)}

def resident():
    return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024

torch.set_num_threads(1)
cfg = Config(dict(model=dict(type='Wide'), work_dir=sys.argv[1], train_cfg=dict(by_epoch=False, max_iters=2),
    train_dataloader=dict(dataset=dict(type='Ones'), batch_size=64), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))))
find_batch_size(cfg, memory=10**12, largest=2)
before = resident()
found = find_batch_size(cfg, memory=before + 400_000_000)
print(json.dumps(dict(before=before, after=resident(), **found.as_dict())))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(120)
def test_resident_memory_is_within_10_percent_of_the_limit_and_given_back(tmp_path: Path) -> None:
    import json

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    peaks = dict(map(tuple, found["tries"]))
    assert len(peaks) <= 8
    assert 0.9 * found["limit"] <= peaks[found["largest"]] <= found["limit"]
    assert found["batch_size"] * found["accumulative_counts"] == 64
    assert found["after"] < found["before"] + 40_000_000


# --- workers -------------------------------------------------------------------------------------------------------


class Slow(torch.utils.data.Dataset):
    """Samples that take 4 ms of waiting each, which two workers share."""

    def __len__(self) -> int:
        return 4000

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.004)
        return torch.ones(3)


def test_workers_are_chosen_by_throughput(tmp_path: Path) -> None:
    run = runner(tmp_path, train_dataloader=torch.utils.data.DataLoader(Slow(), batch_size=4))
    found = find_workers(run, counts=[0, 2], seconds=1.0)
    speeds = dict(found.throughputs)
    assert speeds[0] == pytest.approx(1 / 0.016, rel=0.5)
    assert speeds[2] > 1.3 * speeds[0]
    assert found.num_workers == 2
    assert found.options == {"train_dataloader.num_workers": 2}


def test_fewest_workers_that_are_fast_enough_are_chosen() -> None:
    assert fewest([(0, 50.0), (1, 96.0), (2, 100.0), (4, 90.0)]) == 1
    assert fewest([(0, 100.0), (2, 100.0)]) == 0
    with pytest.raises(TuneError, match=r"workers are measured for numbers from 0 and a time above 0, got \[-1\]"):
        find_workers(None, counts=[-1])
