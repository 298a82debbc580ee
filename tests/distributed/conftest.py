"""Makes the helpers of this folder importable, and runs jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from distributed_jobs import HERE, Finished, run_job


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Finished]:
    """Runs the training job; a name keeps the folders of several jobs of a test apart."""

    def start(
        name: str,
        ranks: int = 0,
        *,
        restarts: int = 0,
        timeout: float = 120,
        ok: bool = True,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> Finished:
        place, script = tmp_path / name, HERE / "training_job.py"
        done = run_job(script, place, ranks, options, restarts=restarts, timeout=timeout, env=env)
        if ok:
            assert done.code == 0, done.output[-4000:]
        return done

    return start
