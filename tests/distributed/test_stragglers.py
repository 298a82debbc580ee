"""A rank that holds up the others is named with its host, its part of the iteration and its line."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(200)


def test_a_slow_rank_is_named_with_host_and_line(job: Callable[..., Any], tmp_path: Any) -> None:
    options = {
        "length": 48,
        "global_batch": 12,
        "max_epochs": 3,
        "hooks": [{"type": "StragglerHook", "interval": 4}],
        "log_level": "WARNING",
    }
    runs = {"data": {**options, "slow_data": 0.05}, "forward": {**options, "slow_forward": 0.2}}
    done = job("slow", 3, timeout=180, jobs=runs, work_dir=str(tmp_path))
    rank = rf"Rank 1 on {re.escape(socket.gethostname())} holds up the others"
    for part, function in (("data", "__getitem__"), ("data and forward", "forward")):
        lines = re.findall(
            rf"{rank}: it takes ([\d.]+) s per iteration for {part}, the others ([\d.]+) s.*", done.output
        )
        assert lines, done.output[-4000:]
        assert all(float(own) >= 0.2 for own, _ in lines)
        assert re.search(rf"{rank}.* for {part}, .*training_job\.py:\d+ in {function}", done.output)
