"""StragglerHook: names the rank that all others wait for."""

from __future__ import annotations

import logging
import socket
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from eng.dist import all_gather_object
from eng.logging.errors import UsageError
from eng.logging.parts import DATA, FORWARD, PartClock
from eng.logging.whole_numbers import whole_number
from eng.registry import HOOKS

from ._parts import follow_parts
from .hook import DataBatch, Hook
from .view import RunnerView

_LOGGER = logging.getLogger(__name__)
_SAMPLE_EVERY_S = 0.01
# Packages whose code a user of eng does not change.
_FOREIGN = frozenset({"torch", "eng", *sys.stdlib_module_names})


@dataclass(frozen=True)
class RankTimes:
    """Seconds per iteration of a rank in the parts in which it waits for no other rank."""

    host: str
    data_s: float
    forward_s: float
    iteration_s: float
    line: str | None = None


@dataclass(frozen=True)
class Straggler:
    """A rank that all others wait for: in which part, its seconds per iteration there, and the median of the others."""

    rank: int
    part: str
    own_s: float
    others_s: float

    @property
    def lag_s(self) -> float:
        """Seconds that each iteration takes longer because of this rank."""
        return self.own_s - self.others_s


@HOOKS.register_module()
class StragglerHook(Hook):
    """Warns of a rank that holds up the others, with its host, the part of the iteration and the line of its code.

    In a synchronous training all ranks take the same time for an iteration, as they wait for the slowest one. The hook compares
    the parts that do not wait: loading data, and loading data with the forward. Once per ``interval`` it gathers three times, the host
    name and at most one line of code from each rank. This line is the one that the rank's main thread executed most often; the search
    for it begins with the first warning of a rank, so that the second warning shows it. Work that a GPU does after the forward has
    returned is not measured. A forward that gathers shards (FSDP2) waits for other ranks, so that only slow data is seen there.

    Args:
        interval: training iterations from one comparison to the next. 50 by default.
        share: part of an iteration's time that a rank must lose to be named. 0.2 by default.

    Raises:
        UsageError: ``interval`` is below 1, or ``share`` is not between 0 and 1.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 50, share: float = 0.2) -> None:
        self.interval = whole_number("StragglerHook's interval", interval, 1)
        if not 0 < share < 1:
            raise UsageError(f"StragglerHook's share must be between 0 and 1, got {share!r}")
        self.share = share
        self._times: PartClock | None = None
        self._before: list[float] = []
        self._sampler: LineSampler | None = None
        self._done = 0

    def before_train(self, runner: RunnerView) -> None:
        """Begins to measure, in a run of several ranks."""
        if runner.world_size > 1:
            hooks = getattr(runner, "hook_list", None)
            self._times = getattr(hooks, "part_clock", None) or follow_parts(runner)
            self._begin()

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Compares the ranks where an interval ends."""
        if self._times is None:
            return
        self._done += 1
        if self._done < self.interval:
            return
        ranks = all_gather_object(self._own_times())
        self._end_sampling()
        straggler = find_straggler(ranks, self.share)
        if straggler is not None:
            if runner.rank == 0:
                _LOGGER.warning(_warning(straggler, ranks[straggler.rank]))
            if runner.rank == straggler.rank:
                self._sampler = LineSampler(self._is_at_own_work)
        self._begin()

    def after_train(self, runner: RunnerView) -> None:
        """Ends measuring."""
        self._end_sampling()
        self._times = None

    def after_run(self, runner: RunnerView) -> None:
        """Ends what a failed training has left."""
        self.after_train(runner)

    def _begin(self) -> None:
        assert self._times is not None
        self._done = 0
        self._times.switch(self._times.part)
        self._before = list(self._times.seconds)

    def _own_times(self) -> RankTimes:
        assert self._times is not None
        self._times.switch(self._times.part)
        spent = [now - before for now, before in zip(self._times.seconds, self._before, strict=True)]
        return RankTimes(
            host=socket.gethostname(),
            data_s=spent[DATA] / self._done,
            forward_s=spent[FORWARD] / self._done,
            iteration_s=sum(spent) / self._done,
            line=None if self._sampler is None else self._sampler.line(),
        )

    def _is_at_own_work(self) -> bool:
        return self._times is not None and self._times.part in (DATA, FORWARD)

    def _end_sampling(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None


class LineSampler:
    """Reads the current line of the main thread a hundred times a second and counts the lines.

    Args:
        is_on: whether the current moment counts; called in the sampler's thread.
    """

    def __init__(self, is_on: Callable[[], bool]) -> None:
        self._is_on = is_on
        self._lines: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eng-line-sampler", daemon=True)
        self._thread.start()

    def line(self) -> str | None:
        """The most frequent line, as ``file.py:12 in function``; None where none was counted."""
        if not self._lines:
            return None
        return self._lines.most_common(1)[0][0]

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        main = threading.main_thread().ident
        while not self._stop.wait(_SAMPLE_EVERY_S):
            frame = sys._current_frames().get(main or 0)  # noqa: SLF001  # documented; other Pythons may lack it
            if frame is not None and self._is_on():
                self._lines[line_of(frame)] += 1


def line_of(frame: FrameType) -> str:
    """The innermost line of a stack that is in code of the user; the innermost of all where the stack has no such code."""
    current: FrameType | None = frame
    while current is not None and str(current.f_globals.get("__name__", "")).partition(".")[0] in _FOREIGN:
        current = current.f_back
    frame = current or frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def find_straggler(ranks: Sequence[RankTimes], share: float) -> Straggler | None:
    """The rank that loses most against the median of the others; None where none loses enough.

    Args:
        ranks: times of each rank.
        share: part of the longest iteration that it must lose.

    Example:
        >>> times = [RankTimes("a", 0.0, 0.1, 1.0), RankTimes("b", 0.8, 0.1, 1.0)]
        >>> find_straggler(times, 0.2)
        Straggler(rank=1, part='data', own_s=0.8, others_s=0.0)
    """
    least = share * max(times.iteration_s for times in ranks)
    data = _slowest("data", [times.data_s for times in ranks])
    both = _slowest("data and forward", [times.data_s + times.forward_s for times in ranks])
    # The data alone explain a loss of which they are the larger part.
    if data.lag_s > max(least, both.lag_s / 2):
        return data
    return both if both.lag_s > least else None


def _slowest(part: str, seconds: list[float]) -> Straggler:
    others = [statistics.median(seconds[:rank] + seconds[rank + 1 :]) for rank in range(len(seconds))]
    rank = max(range(len(seconds)), key=lambda rank: seconds[rank] - others[rank])
    return Straggler(rank, part, seconds[rank], others[rank])


def _warning(straggler: Straggler, times: RankTimes) -> str:
    line = f", most often at {times.line}" if times.line else ""
    return (
        f"Rank {straggler.rank} on {times.host} holds up the others: it takes {straggler.own_s:.3g} s per iteration for "
        f"{straggler.part}, the others {straggler.others_s:.3g} s (median), of {times.iteration_s:.3g} s in all{line}"
    )
