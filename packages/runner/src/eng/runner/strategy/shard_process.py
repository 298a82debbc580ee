"""Writing shards in a process beside each rank: torch's checkpoint process, kept from signals and ended with the run."""

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

# A scheduler or a terminal sends these to all processes of a job. The rank answers them by a checkpoint of its own.
_SIGNALS_OF_THE_RANK = {number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGUSR1")}
_SECONDS_TO_END = 30.0


class ShardProcess:
    """Writes this rank's shards in torch's checkpoint process. The checkpoint processes of all ranks form a process group.

    Shards are copied into shared memory, pinned where they come from a GPU; later saves use the same memory. The first save
    starts the process, which imports the main module as ``multiprocessing`` does with ``spawn``: a script needs its
    ``if __name__ == "__main__":``.

    Raises:
        SettingsError: this torch has no stager for shared memory.
    """

    def __init__(self) -> None:
        self._stager: Any = None
        _staging()

    def save(self, shards: dict[str, torch.Tensor], folder: str, group: object) -> Callable[[], object]:
        """Copies the shards and gives what waits until all ranks have written; all ranks call it.

        Args:
            shards: of this rank, by their path in the checkpoint.
            folder: of the checkpoint.
            group: process group of all ranks with a backend for CPUs.
        """
        saver = importlib.import_module("torch.distributed.checkpoint.state_dict_saver")
        if self._stager is None:
            end_process()  # one that an earlier run left may belong to another process group
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
        """Ends the process and gives the memory of the copies back."""
        if self._stager is not None:
            self._stager.close()
            self._stager = None
            end_process()
            atexit.unregister(end_process)


def end_process() -> None:
    """Ends this rank's checkpoint process, if there is one."""
    for process in take_checkpoint_process():
        process.join(_SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()


def _staging() -> Any:
    """Torch's module of stagers."""
    staging = importlib.import_module("torch.distributed.checkpoint.staging")
    if not hasattr(staging, "DefaultStager"):
        raise SettingsError(
            f"async_save='process' needs DefaultStager of torch.distributed.checkpoint.staging, which torch {torch.__version__} "
            "does not have: take a newer torch, or async_save=True, which writes in a thread"
        )
    return staging


def _new_stager(shards: dict[str, torch.Tensor]) -> Any:
    staging = _staging()
    pinned = any(shard.device.type == "cuda" and pins_memory(shard.device) for shard in shards.values())
    # The copy is made before `save` returns: the next step changes the weights.
    options = staging.StagingOptions(
        use_pinned_memory=pinned, use_shared_memory=True, use_async_staging=False, use_non_blocking_copy=pinned
    )
    return staging.DefaultStager(options)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Blocks the signals of a job, also in each process that is started meanwhile; this process gets them afterwards.

    A new process inherits the blocked signals of the thread that starts it, and a new thread those of its parent.
    """
    if os.name != "posix":
        yield
        return
    resource_tracker.ensure_running()  # Python unblocks SIGINT and SIGTERM where it starts the tracker
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_OF_THE_RANK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(pending: Any, folder: str) -> None:
    """Waits for the process.

    Raises:
        CheckpointWriteError: the process is dead, or has lost its connection to those of other ranks.
    """
    try:
        pending.result()
    except (RuntimeError, OSError, EOFError) as error:
        raise CheckpointWriteError(folder, f"checkpoint process of rank {get_rank()}: {error}") from error
