"""Preemption: records signals and the end of a time budget, so that a run can save its state and stop in time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch

from eng.dist import all_reduce
from eng.logging.progress import print_in_signal_handler

TIME_BUDGET_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, the caller should try again.


class Preemption:
    """Records that a signal or the end of a time budget asks the run to end.

    The run polls the record at safe points, such as the end of an iteration, at which its state can be saved. As a
    context manager the object installs signal handlers, and restores the earlier handlers at the end of the ``with``
    block. If an earlier handler is a function, the new handler calls it, too. The first signal to this process only
    requests the end of the run, even if the run is ending already: signals reach the ranks one after another, and may
    arrive while the state is being saved. A second signal has its default effect. In a forked child process every
    signal has its default effect.

    Args:
        signals: names of the signals that end the run.
        time_budget_s: seconds after which the run ends; None (default) uses ``SLURM_JOB_END_TIME`` (seconds since
            1970) if it is set, and otherwise sets no limit.
        margin_s: seconds before the end of a Slurm job at which to stop. 120 by default.
        agree_every: number of safe points after which the ranks agree, in a collective call, whether the run ends. 10
            by default; a single process checks at each safe point.

    Attributes:
        reason: name of the first signal, or ``"time budget"``; None while the run should continue.

    Example:
        >>> with Preemption(time_budget_s=0.0) as preemption:
        ...     preemption.poll(0), preemption.exit_code
        ('time budget', 75)
    """

    def __init__(
        self,
        signals: Sequence[str] = ("SIGINT", "SIGTERM", "SIGUSR1"),
        time_budget_s: float | None = None,
        margin_s: float = 120.0,
        agree_every: int = 10,
    ) -> None:
        self.signals = [getattr(signal, name) for name in signals if hasattr(signal, name)]
        self.reason: str | None = None
        self.agree_every = agree_every
        self._deadline = _deadline(time_budget_s, margin_s)
        self._previous: dict[int, Any] = {}
        self._pid = os.getpid()
        self._was_signalled = False

    @property
    def exit_code(self) -> int:
        """Exit status of the process: 128 plus the signal's number, or 75 for the time budget."""
        if self.reason == "time budget" or self.reason is None:
            return TIME_BUDGET_EXIT_CODE
        return 128 + int(getattr(signal, self.reason))

    def __enter__(self) -> Preemption:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def install(self) -> None:
        """Installs the signal handlers. Python allows this only in the main thread, so other threads install none."""
        self.uninstall()
        self._pid = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._previous[number] = signal.signal(number, self._note)

    def uninstall(self) -> None:
        """Restores the earlier signal handlers. A handler that other code has installed meanwhile stays installed."""
        for number, earlier in self._previous.items():
            if signal.getsignal(number) == self._note:
                # `signal.signal` returned None for a handler that C code installed. Python cannot restore such a handler,
                # so the signal gets its default effect.
                handler = signal.SIG_DFL
                if earlier is not None:
                    handler = earlier
                signal.signal(number, handler)
        self._previous.clear()

    def poll(self, step: int, world_size: int = 1) -> str | None:
        """Returns the reason to end the run now, the same on all ranks; None if the run should continue.

        Args:
            step: number of this safe point, which must be the same on all ranks.
            world_size: number of ranks.
        """
        if self._deadline is not None and self.reason is None and time.time() >= self._deadline:
            self.reason = "time budget"
        if world_size == 1:
            return self.reason
        if step % self.agree_every == 0:
            return self._agree()
        return None

    def _agree(self) -> str | None:
        """Returns the reason to end the run on which all ranks agree; None if no rank has a reason.

        Each reason has a number, and the ranks agree on the reason with the highest number.
        """
        reasons: list[str | None] = [None, "time budget", *(s.name for s in self.signals)]
        numbers = {reason: number for number, reason in enumerate(reasons)}
        highest = torch.tensor(numbers.get(self.reason, 0))
        all_reduce(highest, op="max")
        agreed = reasons[int(highest.item())]
        if agreed is not None:
            self.reason = agreed
        return agreed

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal: records the first one and calls the earlier handler; a second signal has its default effect."""
        if os.getpid() != self._pid or self._was_signalled:
            self._act_as_before(number)
            return
        self._was_signalled = True
        self.reason = self.reason or signal.Signals(number).name
        if number == signal.SIGINT:
            _acknowledge()
        earlier = self._previous.get(number)
        if callable(earlier) and earlier is not signal.default_int_handler:
            _call(earlier, number, frame)

    def _act_as_before(self, number: int) -> None:
        """Gives a signal its default effect: installs the default handler and sends this process the signal again."""
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        else:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _acknowledge() -> None:
    """Prints on rank 0 that Ctrl-C will end the run; without the line, a long iteration would look like no reaction."""
    if os.environ.get("RANK", "0") == "0":
        print_in_signal_handler("Ctrl-C: the run ends after this iteration; a second Ctrl-C stops it at once")


def _call(handler: Callable[..., Any], number: int, frame: FrameType | None) -> None:
    handler(number, frame)


def _deadline(budget_s: float | None, margin_s: float) -> float | None:
    """Returns the time (seconds since 1970) at which the run should end; None for no limit."""
    if budget_s is not None:
        return time.time() + budget_s
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end) - margin_s
    return None
