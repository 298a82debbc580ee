"""Finds the number of dataloader workers by measuring the throughput."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ._rehearsal import batches, rehearse
from .errors import TuneError

__all__ = ["WorkerSearch", "find_workers"]

_ENOUGH = 0.95


@dataclass(frozen=True)
class WorkerSearch:
    """Result of a search for the number of dataloader workers.

    Args:
        num_workers: recommended number of workers: the smallest one with at least 95 % of the best throughput.
        throughputs: pairs of a number of workers and the measured throughput in batches per second.
        current: number of workers that the config sets.
    """

    num_workers: int
    throughputs: list[tuple[int, float]]
    current: int

    @property
    def options(self) -> dict[str, int]:
        """The recommended setting by dotted key of the config."""
        return {"train_dataloader.num_workers": self.num_workers}

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as a dict of plain values, for JSON."""
        return {**asdict(self), "options": self.options}


def find_workers(run: Any, *, counts: Sequence[int] | None = None, seconds: float = 3.0) -> WorkerSearch:
    """Finds the smallest number of dataloader workers with at least 95 % of the best throughput.

    Args:
        run: a Runner, a config, or the path of a config.
        counts: numbers of workers to try; None (default) tries 0, 1, 2, 4, ... up to the number of usable CPU cores.
        seconds: duration of the measurement for each number, after the first batch.

    Raises:
        TuneError: ``counts`` is empty or contains a negative number, or the run has no training data or optimizer.
    """
    numbers = list(counts) if counts is not None else _powers(_cores())
    if not numbers or min(numbers) < 0 or not seconds > 0:
        raise TuneError(f"workers are measured for numbers from 0 and a time above 0, got {numbers} and {seconds:g} s")
    with rehearse(run) as rehearsal:
        throughputs = [(number, _throughput(rehearsal.loader(num_workers=number), seconds)) for number in numbers]
        current = getattr(rehearsal.loader(), "num_workers", 0)
    return WorkerSearch(fewest(throughputs), throughputs, current)


def fewest(throughputs: Sequence[tuple[int, float]]) -> int:
    """Returns the smallest number of workers with at least 95 % of the best throughput.

    Args:
        throughputs: pairs of a number of workers and the measured batches per second.
    """
    best = max(speed for _, speed in throughputs)
    return min(number for number, speed in throughputs if speed >= _ENOUGH * best)


def _throughput(loader: Any, seconds: float) -> float:
    """Measures how many batches per second a dataloader yields, for `seconds` seconds after its first batch.

    The first batch is not counted, because the worker processes start before it.
    """
    data = batches(loader)
    next(data)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        next(data)
        count += 1
    speed = count / (time.perf_counter() - begin)
    data.close()  # type: ignore[attr-defined]  # `data` is a generator; closing it ends the workers
    return speed


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _powers(most: int) -> list[int]:
    return [0, *(2**power for power in range(most.bit_length()) if 2**power <= most)]
