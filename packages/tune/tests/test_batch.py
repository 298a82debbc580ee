from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tune_parts import runner

import eng.tune._batch as batch_module
from eng.tune import TuneError, find_batch_size
from eng.tune._batch import parse_bytes, search_largest, split_evenly

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
@pytest.mark.timeout(300)
def test_resident_memory_is_within_10_percent_of_the_limit_and_given_back(tmp_path: Path) -> None:
    import json

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    peaks = dict(map(tuple, found["tries"]))
    assert len(peaks) <= 8
    assert 0.9 * found["limit"] <= peaks[found["largest"]] <= found["limit"]
    assert found["batch_size"] * found["accumulative_counts"] == 64
    assert found["after"] < found["before"] + 40_000_000
