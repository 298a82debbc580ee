"""A metric counts exactly the samples of the data, whatever number of ranks and padding there is."""

from __future__ import annotations

from typing import Any

import pytest
from distributed_jobs import HERE, run_job

LARGEST, BATCH_SIZES = 37, [1, 2, 4, 7]
pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    options = {"largest": LARGEST, "batch_sizes": BATCH_SIZES}
    done = run_job(HERE / "metrics_job.py", tmp_path_factory.mktemp("metrics"), 4, options, timeout=180)
    assert done.code == 0, done.output[-3000:]
    return done.report


@pytest.mark.parametrize("ranks", [1, 2, 3, 4], ids="{}-ranks".format)
def test_every_size_gives_the_metric_of_its_samples(reports: dict[str, Any], ranks: int) -> None:
    found = reports[str(ranks)]
    assert len(found) == LARGEST * len(BATCH_SIZES)
    for key, metrics in found.items():
        size = int(key.split("/")[0])
        assert metrics["squares"] == (size - 1) * size * (2 * size - 1) // 6, key
        assert (metrics["count"], metrics["ordered"]) == (size, True), key
