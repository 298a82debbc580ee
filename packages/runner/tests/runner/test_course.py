"""What ends beside a run that failed or was stopped."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from eng.runner.course import _close_strategy
from eng.runner.errors import RunInterrupted


@pytest.mark.parametrize(
    ("world_size", "error", "closes"),
    [
        (1, ValueError("the batch is broken"), True),
        (2, ValueError("the batch is broken"), False),  # the other ranks would never answer
        (2, RunInterrupted("SIGTERM"), True),
    ],
    ids=["one rank fails", "one of two ranks fails", "both ranks stop"],
)
def test_a_strategy_is_closed_where_no_rank_is_left_waiting(world_size, error, closes) -> None:
    calls = []
    strategy = SimpleNamespace(close=lambda: calls.append("close"))
    run = SimpleNamespace(world_size=world_size, strategy=strategy, logger=logging.getLogger("eng.test"))
    _close_strategy(run, error)
    assert calls == ["close"] * closes
