from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from tune_parts import runner

from eng.tune import TuneError, find_workers
from eng.tune._workers import fewest


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
    assert 0 < speeds[0] < 1 / 0.016  # batches per second: four samples of 4 ms each, and the machine's other work
    assert speeds[2] > 1.3 * speeds[0]
    assert found.num_workers == 2
    assert found.options == {"train_dataloader.num_workers": 2}


def test_fewest_workers_that_are_fast_enough_are_chosen() -> None:
    assert fewest([(0, 50.0), (1, 96.0), (2, 100.0), (4, 90.0)]) == 1
    assert fewest([(0, 100.0), (2, 100.0)]) == 0
    with pytest.raises(TuneError, match=r"workers are measured for numbers from 0 and a time above 0, got \[-1\]"):
        find_workers(None, counts=[-1])
