"""StragglerHook: warns about the slowest rank of a distributed training, which all other ranks wait for."""

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
# Packages whose lines of code are not reported: the warning should name a line of the user's code, which the user can
# change.
_FOREIGN = frozenset({"torch", "eng", *sys.stdlib_module_names})


@dataclass(frozen=True)
class RankTimes:
    """A rank's host name, its seconds per iteration for data loading, forward pass and all parts, and a line of code.

    The line is the one that the rank's main thread executed most often; None if lines were not sampled.
    """

    host: str
    data_s: float
    forward_s: float
    iteration_s: float
    line: str | None = None


@dataclass(frozen=True)
class Straggler:
    """The slowest rank, the slow part of its iterations, and the seconds per iteration that this part takes.

    ``own_s`` is the time of the slowest rank, ``others_s`` the median time of the other ranks.
    """

    rank: int
    part: str
    own_s: float
    others_s: float

    @property
    def lag_s(self) -> float:
        """Seconds by which each iteration of all ranks takes longer because of this rank."""
        return self.own_s - self.others_s


@HOOKS.register_module()
class StragglerHook(Hook):
    """Warns about the rank that slows down the others, with its host, the slow part of the iteration and a line of code.

    In synchronous training all ranks take equally long for an iteration, because they wait for the slowest rank. The hook
    therefore compares the parts in which a rank does not wait: loading data, and loading data plus the forward pass. Once
    per ``interval`` each rank sends three durations, its host name and at most one line of code, the one that its main
    thread executed most often. Lines are sampled only after a rank's first warning, so its second warning shows the line.
    GPU work that continues after the forward pass returns is not measured. With FSDP2 the forward pass gathers shards and
    waits for other ranks, so only slow data loading is detected.

    Args:
        interval: training iterations between two comparisons. 50 by default.
        share: share of the iteration time by which a rank must be slower than the median of the other ranks to be
            reported. 0.2 by default.

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
        """Starts to measure the parts of each iteration, if the run has several ranks."""
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
        """Compares the times of the ranks every ``interval`` iterations; rank 0 logs a warning about a slow rank."""
        if self._times is None:
            return
        self._done += 1
        if self._done < self.interval:
            return
        ranks = all_gather_object(self._times_of_this_rank())
        self._end_sampling()
        straggler = find_straggler(ranks, self.share)
        if straggler is not None:
            if runner.rank == 0:
                _LOGGER.warning(_warning(straggler, ranks[straggler.rank]))
            if runner.rank == straggler.rank:
                self._sampler = LineSampler(self._is_working)
        self._begin()

    def after_train(self, runner: RunnerView) -> None:
        """Ends the measurement and the sampling of lines of code."""
        self._end_sampling()
        self._times = None

    def after_run(self, runner: RunnerView) -> None:
        """Stops the sampler thread after a training that failed before ``after_train``."""
        self.after_train(runner)

    def _begin(self) -> None:
        """Starts an interval of iterations, at whose end the times of the ranks are compared.

        The seconds that this rank has spent in each part of an iteration so far are stored; the times of the interval
        are the differences to these seconds.
        """
        assert self._times is not None
        self._done = 0
        self._times.switch(self._times.part)
        self._before = list(self._times.seconds)

    def _times_of_this_rank(self) -> RankTimes:
        """Returns this rank's seconds per iteration since the interval began."""
        assert self._times is not None
        self._times.switch(self._times.part)
        spent = [now - before for now, before in zip(self._times.seconds, self._before, strict=True)]
        line = None
        if self._sampler is not None:
            line = self._sampler.line()
        return RankTimes(
            host=socket.gethostname(),
            data_s=spent[DATA] / self._done,
            forward_s=spent[FORWARD] / self._done,
            iteration_s=sum(spent) / self._done,
            line=line,
        )

    def _is_working(self) -> bool:
        """Whether this rank is loading data or in the forward pass, where it does not wait for other ranks."""
        return self._times is not None and self._times.part in (DATA, FORWARD)

    def _end_sampling(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None


class LineSampler:
    """A thread that reads a hundred times per second which line of code the main thread executes, and counts the lines.

    Args:
        is_on: function that returns whether to count the present line; called in the sampler's thread.
    """

    def __init__(self, is_on: Callable[[], bool]) -> None:
        self._is_on = is_on
        self._lines: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eng-line-sampler", daemon=True)
        self._thread.start()

    def line(self) -> str | None:
        """Returns the most frequent line, as ``file.py:12 in function``; None if no line was counted."""
        if not self._lines:
            return None
        return self._lines.most_common(1)[0][0]

    def close(self) -> None:
        """Stops the thread and waits until it has ended."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """Counts the line that the main thread executes, a hundred times per second until ``close`` is called."""
        main = threading.main_thread().ident
        while not self._stop.wait(_SAMPLE_EVERY_S):
            frame = sys._current_frames().get(main or 0)  # noqa: SLF001  # Python documents this function.
            if frame is not None and self._is_on():
                self._lines[line_of(frame)] += 1


def line_of(frame: FrameType) -> str:
    """Returns the innermost line of a stack that is user code; the innermost line if the stack has no user code."""
    current: FrameType | None = frame
    while current is not None and str(current.f_globals.get("__name__", "")).partition(".")[0] in _FOREIGN:
        current = current.f_back
    frame = current or frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def find_straggler(ranks: Sequence[RankTimes], share: float) -> Straggler | None:
    """Returns the rank that exceeds the median time of the other ranks most; None if no rank is slow enough.

    Args:
        ranks: times of each rank, in the order of the ranks.
        share: share of the longest iteration time by which a rank must be slower.

    Example:
        >>> times = [RankTimes("a", 0.0, 0.1, 1.0), RankTimes("b", 0.8, 0.1, 1.0)]
        >>> find_straggler(times, 0.2)
        Straggler(rank=1, part='data', own_s=0.8, others_s=0.0)
    """
    least = share * max(times.iteration_s for times in ranks)
    data = _slowest("data", [times.data_s for times in ranks])
    both = _slowest("data and forward", [times.data_s + times.forward_s for times in ranks])
    # If data loading causes more than half of the lag, the warning names data loading alone.
    if data.lag_s > max(least, both.lag_s / 2):
        return data
    if both.lag_s > least:
        return both
    return None


def _slowest(part: str, seconds: list[float]) -> Straggler:
    """Returns the rank whose seconds exceed the median of the other ranks most."""
    others = [statistics.median(seconds[:rank] + seconds[rank + 1 :]) for rank in range(len(seconds))]
    rank = max(range(len(seconds)), key=lambda rank: seconds[rank] - others[rank])
    return Straggler(rank, part, seconds[rank], others[rank])


def _warning(straggler: Straggler, times: RankTimes) -> str:
    """Returns the warning about the slowest rank; it names a line of code if lines were sampled on this rank."""
    line = ""
    if times.line:
        line = f", most often at {times.line}"
    return (
        f"Rank {straggler.rank} on {times.host} holds up the others: it takes {straggler.own_s:.3g} s per iteration for "
        f"{straggler.part}, the others {straggler.others_s:.3g} s (median), of {times.iteration_s:.3g} s in all{line}"
    )
