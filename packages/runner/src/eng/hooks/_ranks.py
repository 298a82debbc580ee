"""Finds the slowest rank of a distributed training, which the other ranks wait for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from eng.dist import all_gather, get_world_size
from eng.logging.parts import DATA, FORWARD, HOOKS, PARTS

__all__ = ["SlowRank", "busy_seconds", "slowest"]

# Parts of an iteration in which a rank does not wait for other ranks. The backward pass is not among them: ranks
# exchange gradients there, so a fast rank waits for slow ranks.
_BUSY = (DATA, FORWARD, HOOKS)
# A rank is reported if it is at least 20 % slower than the median rank.
_BEHIND = 0.2


class SlowRank(tuple[int, int, float, float]):
    """The slowest rank, as a tuple of four numbers, for a warning.

    The numbers are the rank, the part of an iteration in which the rank loses most time, the rank's seconds per
    iteration and the median rank's seconds per iteration. The seconds do not include parts in which ranks wait for one
    another.
    """

    __slots__ = ()

    def __str__(self) -> str:
        rank, part, seconds, median = self
        return (
            f"Rank {rank} is {seconds / median - 1:.0%} slower than the median rank: {1000 * seconds:.1f} ms against "
            f"{1000 * median:.1f} ms for each iteration before the backward pass, mostly in {PARTS[part]}. All ranks wait for it"
        )


def busy_seconds(seconds: Sequence[float], before: Sequence[float], iterations: int) -> list[float]:
    """Returns this rank's seconds per iteration for data, forward and hooks, in which no rank waits for another one.

    Args:
        seconds: total seconds of each part of the run until now.
        before: total seconds of each part of the run when the measured interval began.
        iterations: number of iterations in the interval.
    """
    return [(seconds[part] - before[part]) / max(iterations, 1) for part in _BUSY]


def slowest(busy: Sequence[float]) -> tuple[float, SlowRank | None]:
    """Returns the lag of the slowest rank, and the slowest rank itself, or None if the lag is below 20 %.

    The lag is relative: 0.2 if the slowest rank is 20 % slower than the median rank. All ranks must call the function,
    because it gathers the seconds of all ranks.

    Args:
        busy: seconds per iteration of this rank, from :func:`busy_seconds`.
    """
    if get_world_size() == 1:
        return 0.0, None
    table = torch.stack(all_gather(torch.tensor(busy, dtype=torch.float64))).tolist()
    return compare_ranks(table)


def compare_ranks(table: Sequence[Sequence[float]]) -> tuple[float, SlowRank | None]:
    """Returns the lag of the slowest rank behind the median rank, and the slowest rank (None for a lag below 20 %).

    The lag is relative: 0.4 is 40 %. ``table`` has a row per rank, with the rank's seconds per iteration for data,
    forward and hooks.

    Example:
        >>> lag, rank = compare_ranks([[0.01, 0.09, 0.0], [0.05, 0.09, 0.0]])
        >>> round(lag, 2), rank[:2]
        (0.4, (1, 0))
    """
    totals = [sum(row) for row in table]
    order = sorted(range(len(totals)), key=totals.__getitem__)
    # With an even number of ranks the faster one of the two middle ranks is the median rank.
    rank, middle = order[-1], order[(len(order) - 1) // 2]
    median = totals[middle]
    if median <= 0:
        return 0.0, None
    lag = totals[rank] / median - 1
    # The part of an iteration, such as the forward pass, in which the slowest rank loses most time to the median rank.
    column = max(range(len(_BUSY)), key=lambda index: table[rank][index] - table[middle][index])
    if lag < _BEHIND:
        return lag, None
    return lag, SlowRank((rank, _BUSY[column], totals[rank], median))
