"""Ending a run when the machine is taken away: signals and a time budget, asked for at safe points."""

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

TIME_BUDGET_EXIT_CODE = 75  # EX_TEMPFAIL: try again later


class Preemption:
    """Notes that a run should end; the loops ask at their safe points.

    Used as a context manager it installs its signal handlers and, at the end, puts the earlier ones back. An earlier
    handler that is a function is called as well. A second signal to this process acts as if this class were not there;
    the first one does not, whatever else ends the run already: signals reach the ranks one after another, and may come
    while the state is being saved. In a process that was forked meanwhile the handlers act as if they were not there
    either.

    Args:
        signals: names of signals that end the run.
        time_budget_s: seconds after which the run ends; None (default) reads ``SLURM_JOB_END_TIME`` (seconds since
            1970) and otherwise sets no limit.
        margin_s: seconds before the end of a Slurm job at which to stop. 120 by default.
        agree_every: safe points between two agreements over the ranks. 10 by default; one process asks at each.

    Attributes:
        reason: name of the first signal, or ``"time budget"``; None while the run may go on.

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
        """128 and the signal's number, or 75 for the time budget."""
        if self.reason == "time budget" or self.reason is None:
            return TIME_BUDGET_EXIT_CODE
        return 128 + int(getattr(signal, self.reason))

    def __enter__(self) -> Preemption:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def install(self) -> None:
        """Installs the signal handlers, in the main thread."""
        self.uninstall()
        self._pid = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._previous[number] = signal.signal(number, self._note)

    def uninstall(self) -> None:
        """Puts the earlier signal handlers back."""
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def poll(self, step: int, world_size: int = 1) -> str | None:
        """Why the run should end now, the same on all ranks; None where it should not.

        Args:
            step: number of this safe point, the same on all ranks.
            world_size: number of ranks.
        """
        if self._deadline is not None and self.reason is None and time.time() >= self._deadline:
            self.reason = "time budget"
        if world_size == 1:
            return self.reason
        if step % self.agree_every == 0:
            return self._agreed()
        return None

    def _agreed(self) -> str | None:
        codes = {name: i + 1 for i, name in enumerate(["time budget", *(s.name for s in self.signals)])}
        code = torch.tensor(codes.get(self.reason or "", 0))
        all_reduce(code, op="max")
        exit_code = int(code.item())
        if exit_code:
            self.reason = {number: name for name, number in codes.items()}[exit_code]
        return self.reason if exit_code else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handles the first signal: notes it and calls the earlier handler; a second signal ends the process."""
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
        """Gives the signal its default meaning and sends it again, to this process alone."""
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        else:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _acknowledge() -> None:
    """Answers Ctrl-C at once: the end of the iteration may be far."""
    if os.environ.get("RANK", "0") == "0":
        print_in_signal_handler("Ctrl-C: the run ends after this iteration; a second Ctrl-C stops it at once")


def _call(handler: Callable[..., Any], number: int, frame: FrameType | None) -> None:
    handler(number, frame)


def _deadline(budget_s: float | None, margin_s: float) -> float | None:
    if budget_s is not None:
        return time.time() + budget_s
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end) - margin_s
    return None
