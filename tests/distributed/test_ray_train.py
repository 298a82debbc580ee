"""A run on the workers of Ray's TorchTrainer gives the numbers of one process (`nox -s ray`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed_jobs import HERE, run_job

pytest.importorskip("ray.train", reason="Ray Train is not installed: nox -s ray")


@pytest.mark.timeout(300)
def test_two_workers_of_ray_train_as_one_process(job: Callable[..., Any], tmp_path: Path) -> None:
    options = {"max_epochs": 2, "loader": {"global_batch_size": 8}}
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    done = run_job(HERE / "ray_train_job.py", tmp_path / "ray", 0, options, timeout=240, env=quiet)
    assert done.code == 0, done.output[-4000:]
    alone = job("alone", 0, **options)
    assert done.report["world"] == 2
    assert done.report["samples"] == alone.report["samples"]
    assert done.report["losses"] == pytest.approx(alone.report["losses"], rel=1e-5, abs=1e-5)
    for name, values in alone.report["weights"].items():
        assert done.report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5), name
