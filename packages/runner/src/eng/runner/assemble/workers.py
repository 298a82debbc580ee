"""Start and end of the worker processes of a dataloader."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader

# A worker process notices after at most this time that its parent process has ended.
_SECONDS_BETWEEN_LOOKS = 2.0


class WorkerStart:
    """Prepares a worker process: makes it ignore the signals that stop a run, then calls the configured init function.

    Schedulers, elastic agents and terminals send a signal to all processes of a job at once. If a worker process ended,
    the dataloader would raise, and the run would fail before it could save a checkpoint. So only SIGTERM from the
    dataloader's own process ends a worker.

    Args:
        function: the configured ``worker_init_fn``, which is called with the worker's number; None calls nothing.
    """

    def __init__(self, function: Callable[[int], None] | None) -> None:
        self.function = function

    def __call__(self, worker_id: int) -> None:
        """Runs in the worker process before it loads the first sample."""
        for name in {"SIGINT", "SIGUSR1", "SIGUSR2"} & set(signal.Signals.__members__):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        parent = multiprocessing.parent_process()
        if parent is not None and hasattr(signal, "sigtimedwait"):
            _end_only_by(parent)
        if self.function is not None:
            self.function(worker_id)


def shield_workers(dataloader: object) -> None:
    """Makes a torch DataLoader that the user built start its worker processes with :class:`WorkerStart`."""
    if isinstance(dataloader, DataLoader) and not isinstance(dataloader.worker_init_fn, WorkerStart):
        dataloader.worker_init_fn = WorkerStart(dataloader.worker_init_fn)


def end_workers(dataloader: object) -> None:
    """Ends the persistent worker processes of a torch DataLoader; the next pass over the data starts new ones.

    The garbage collector would end the workers too, but it closes their queues first: torch then waits five seconds for
    each worker.
    """
    if isinstance(dataloader, DataLoader) and dataloader.persistent_workers:
        dataloader._iterator = None  # noqa: SLF001  # torch 2.6 to 2.13 have no public way


def _end_only_by(parent: Any) -> None:
    """Ends this worker process on a SIGTERM from the process ``parent``, or when ``parent`` has ended.

    SIGTERM from other processes is ignored. Only ``sigtimedwait`` tells which process sent a signal, so that a thread
    waits for SIGTERM, which is blocked in all other threads. Torch's workers check for their parent too, but a worker
    whose parent was killed while the worker started would wait for ever.
    """
    is_child = os.getppid() == parent.pid  # With the start method "forkserver", the parent process is the fork server.

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
