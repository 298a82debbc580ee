"""How the worker processes of a loader start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader

_SECONDS_BETWEEN_LOOKS = 2.0


class WorkerStart:
    """Starts a loader's worker: the run's signals are not for it, then the worker's own function runs.

    Schedulers, elastic agents and terminals signal all processes of a job at once. A worker that ended then would break
    the loader, and with it the run, before its next safe point; one that inherited the run's handlers would take the
    signal for itself. So no signal that ends a run ends a worker, but for the loader's own SIGTERM.

    Args:
        function: what the worker does first, given its number; None for nothing.
    """

    def __init__(self, function: Callable[[int], None] | None) -> None:
        self.function = function

    def __call__(self, worker_id: int) -> None:
        """Starts the worker with this number."""
        for name in {"SIGINT", "SIGUSR1", "SIGUSR2"} & set(signal.Signals.__members__):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        parent = multiprocessing.parent_process()
        if parent is not None and hasattr(signal, "sigtimedwait"):
            _end_only_by(parent)
        if self.function is not None:
            self.function(worker_id)


def shield_workers(dataloader: object) -> None:
    """Has the workers of a ready-made torch loader start like those of one from a config."""
    if isinstance(dataloader, DataLoader) and not isinstance(dataloader.worker_init_fn, WorkerStart):
        dataloader.worker_init_fn = WorkerStart(dataloader.worker_init_fn)


def end_workers(dataloader: object) -> None:
    """Ends the worker processes that a torch loader keeps between passes; the next pass starts new ones.

    The garbage collector would end them too, but it closes their queues first: torch then waits five seconds for each.
    """
    if isinstance(dataloader, DataLoader) and dataloader.persistent_workers:
        dataloader._iterator = None  # noqa: SLF001  # torch 2.6 to 2.13 have no public way


def _end_only_by(parent: Any) -> None:
    """Lets a SIGTERM of the process ``parent``, or its end, end this one, and no other's SIGTERM.

    Only who waits for a signal learns who sent it, so that a thread waits and the signal is blocked everywhere else.
    Torch's workers look for their parent too, but one whose parent was killed while it started would wait for ever.
    """
    is_child = os.getppid() == parent.pid  # not so below a fork server

    def is_orphan() -> bool:
        if not is_child:
            return not parent.is_alive()
        pid: int = parent.pid
        return os.getppid() != pid

    def wait() -> None:
        while True:
            signalled = signal.sigtimedwait({signal.SIGTERM}, _SECONDS_BETWEEN_LOOKS)
            if is_orphan() or (signalled is not None and signalled.si_pid == parent.pid):
                os._exit(0)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=wait, name="eng-worker-end", daemon=True).start()
