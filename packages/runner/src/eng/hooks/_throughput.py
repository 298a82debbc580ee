"""Numbers that follow from the times of iterations, worked out at log points alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def throughput(times: Mapping[str, Any], batch_size: int | None, world_size: int) -> dict[str, float]:
    """Samples per second and the share of time that waits for data.

    Args:
        times: mean ``time`` and ``data_time`` of the iterations, in seconds.
        batch_size: samples of a full batch on one rank; None where nobody knows.
        world_size: number of ranks.

    Returns:
        ``samples_per_s`` over all ranks (absent without a batch size) and ``data_share`` from 0 to 1.

    Example:
        >>> throughput({"time": 0.5, "data_time": 0.1}, 8, 2)
        {'data_share': 0.2, 'samples_per_s': 32.0}
    """
    seconds, waiting = times.get("time"), times.get("data_time")
    if not isinstance(seconds, (int, float)) or not isinstance(waiting, (int, float)) or not seconds > 0:
        return {}
    numbers = {"data_share": min(waiting / seconds, 1.0)}
    if batch_size:
        numbers["samples_per_s"] = batch_size * world_size / seconds
    return numbers
