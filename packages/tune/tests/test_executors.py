from __future__ import annotations

import pytest

from eng.tune import (
    LocalExecutor,
    SweepError,
)  # fmt: skip


def test_local_executor_needs_a_device_for_each_job() -> None:
    with pytest.raises(SweepError, match="3 runs at a time need 3 devices, got 2"):
        LocalExecutor(3, [0, 1])
    with pytest.raises(SweepError, match="--jobs must be at least 1, got 0"):
        LocalExecutor(0)
