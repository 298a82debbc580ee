"""Writes shards in torch's checkpoint process, one beside each rank, with signals blocked and ended with the run."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import torch

from eng.checkpoint import CheckpointWriteError
from eng.checkpoint.torch_internals import take_checkpoint_process
from eng.device import pins_memory
from eng.dist import get_rank

from ..errors import SettingsError

# A scheduler or a terminal sends these signals to all processes of a job. The rank itself handles them (it saves a
# checkpoint and stops); its checkpoint process must survive them to finish writing.
_SIGNALS_OF_THE_RANK = {number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGUSR1")}
_SECONDS_TO_END = 30.0


class ShardProcess:
    """Writes this rank's shards in torch's checkpoint process, which runs beside the rank.

    The checkpoint processes of all ranks form a process group of their own.

    Shards are copied into shared memory (pinned memory if they are on a GPU), which later saves use again. The first
    save starts the checkpoint process, which imports the main module like ``multiprocessing`` with ``spawn``. A
    training script therefore needs the guard ``if __name__ == "__main__":``.

    Raises:
        SettingsError: this version of torch cannot copy shards into shared memory (``DefaultStager`` is missing).
    """

    def __init__(self) -> None:
        self._stager: Any = None
        _staging()

    def save(self, shards: dict[str, torch.Tensor], folder: str, group: object) -> Callable[[], object]:
        """Copies the shards, and returns a function that blocks until all ranks have written. All ranks must call it.

        Args:
            shards: this rank's shards, by their path in the checkpoint.
            folder: folder of the checkpoint.
            group: process group of all ranks, with a backend for CPU tensors such as gloo.
        """
        saver = importlib.import_module("torch.distributed.checkpoint.state_dict_saver")
        if self._stager is None:
            end_process()  # A checkpoint process that an earlier run left may belong to another process group.
            self._stager = _new_stager(shards)
            atexit.register(end_process)
        with _signals_held():
            pending = saver.async_save(
                shards,
                checkpoint_id=folder,
                process_group=group,
                async_checkpointer_type=saver.AsyncCheckpointerType.PROCESS,
                async_stager=self._stager,
            )
        return lambda: _result(pending, folder)

    def close(self) -> None:
        """Ends the checkpoint process, and frees the shared memory of the copied shards."""
        if self._stager is not None:
            self._stager.close()
            self._stager = None
            end_process()
            atexit.unregister(end_process)


def end_process() -> None:
    """Ends this rank's checkpoint process, if there is one; kills the process if it does not end within 30 seconds."""
    for process in take_checkpoint_process():
        process.join(_SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()


def _staging() -> Any:
    """Imports torch's module of stagers, which copy shards before a checkpoint process writes them.

    Raises:
        SettingsError: this version of torch has no ``DefaultStager``.
    """
    staging = importlib.import_module("torch.distributed.checkpoint.staging")
    if not hasattr(staging, "DefaultStager"):
        raise SettingsError(
            f"async_save='process' needs DefaultStager of torch.distributed.checkpoint.staging, which torch {torch.__version__} "
            "does not have: take a newer torch, or async_save=True, which writes in a thread"
        )
    return staging


def _new_stager(shards: dict[str, torch.Tensor]) -> Any:
    """Returns torch's stager, which copies shards into shared memory, and into pinned memory if they are on a GPU."""
    staging = _staging()
    pinned = any(shard.device.type == "cuda" and pins_memory(shard.device) for shard in shards.values())
    # No asynchronous staging: the copy must be complete before `save` returns, because the next step changes the
    # weights.
    options = staging.StagingOptions(
        use_pinned_memory=pinned, use_shared_memory=True, use_async_staging=False, use_non_blocking_copy=pinned
    )
    return staging.DefaultStager(options)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Blocks SIGINT, SIGTERM and SIGUSR1 inside this context, and permanently in processes started inside this context.

    A new process inherits the blocked signals of the thread that starts the process. Signals that arrive meanwhile are
    delivered to this process at the end of the context.
    """
    if os.name != "posix":
        yield
        return
    # Started here, because Python unblocks SIGINT and SIGTERM when it starts the resource tracker.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_OF_THE_RANK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(pending: Any, folder: str) -> None:
    """Waits until the checkpoint process has written its shards.

    Raises:
        CheckpointWriteError: the checkpoint process has died, or lost its connection to the processes of other ranks.
    """
    try:
        pending.result()
    except (RuntimeError, OSError, EOFError) as error:
        raise CheckpointWriteError(folder, f"checkpoint process of rank {get_rank()}: {error}") from error
