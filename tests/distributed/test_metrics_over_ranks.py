"""A metric counts exactly the samples of the data, whatever number of ranks and padding there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributed_jobs import HERE, run_job


@pytest.mark.timeout(90)
@pytest.mark.parametrize("ranks", [0, 2, 3, 4], ids=["1-rank", "2-ranks", "3-ranks", "4-ranks"])
def test_every_size_gives_the_metric_of_its_samples(tmp_path: Path, ranks: int) -> None:
    options = {"largest": 37, "batch_sizes": [1, 4, 7]}
    done = run_job(HERE / "metrics_job.py", tmp_path, ranks, options, timeout=80)
    assert done.code == 0, done.output[-3000:]
    for key, metrics in done.report.items():
        size = int(key.split("/")[0])
        assert metrics["squares"] == (size - 1) * size * (2 * size - 1) // 6, key
        assert (metrics["count"], metrics["ordered"]) == (size, True), key
    assert len(done.report) == 37 * 3
