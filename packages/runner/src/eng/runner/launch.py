"""Several processes on this machine, started and watched by torchrun's elastic agent."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .call import ORIGINAL_CALL, original_words

logger = logging.getLogger(__name__)

_SIGNALS = tuple(name for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
"""Signals at which the agent ends its processes."""


def relaunch_with_agent(nproc: int, argv: list[str], max_restarts: int = 0) -> int:
    """Runs ``python -m eng.cli ARGV --launcher pytorch`` in ``nproc`` processes and waits for them.

    When one ends with an error, the others are ended too; then all are started again, up to ``max_restarts`` times, and
    a training run goes on from its newest checkpoint.

    Args:
        nproc: number of processes, 1 or more.
        argv: words of the command, without the program's name.
        max_restarts: how often to start again. 0 by default.

    Returns:
        The exit status: 0, or that of the process that failed first (128 and the number of the signal that ended it).

    Raises:
        ValueError: ``nproc`` is below 1 or ``max_restarts`` below 0.
    """
    if nproc < 1 or max_restarts < 0:
        raise ValueError(f"nproc must be 1 or more and max_restarts 0 or more, got {nproc} and {max_restarts}")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    environment = {**os.environ}
    os.environ[ORIGINAL_CALL] = json.dumps(original_words())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // nproc)))
    words = ["-m", "eng.cli", *argv, *([] if _names_launcher(argv) else ["--launcher", "pytorch"])]
    try:
        with _signal_handlers_kept():
            elastic_launch(_agent_config(nproc, max_restarts), sys.executable)(*words)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        logger.error("rank %d failed first, with exit status %d; its traceback stands above", rank, failure.exitcode)
        return status_of(failure.exitcode)
    except SignalException as error:
        return 128 + int(error.sigval)
    finally:  # the variables are for the processes that were started, not for what this one starts later
        os.environ.clear()
        os.environ.update(environment)
    return 0


def status_of(code: int) -> int:
    """The exit status that a shell would report: 128 and the signal's number for a process ended by a signal.

    Example:
        >>> status_of(3), status_of(-9)
        (3, 137)
    """
    return code if code >= 0 else 128 - code


def after_restart(resume: bool | str, load_from: str | None, work_dir: str) -> tuple[bool | str, str | None]:
    """``resume`` and ``load_from`` of a run, in a process that the elastic agent may have started again.

    A run that was started again goes on from its newest checkpoint, whatever it began with; one that had not written
    any begins as before.
    """
    from eng.checkpoint import find_latest_checkpoint

    if not restarts_so_far() or find_latest_checkpoint(work_dir) is None:
        return resume, load_from
    logger.warning("this is start %d of the processes: the run goes on from its checkpoint", restarts_so_far() + 1)
    return True, None


def restarts_so_far() -> int:
    """How often the elastic agent has started this process again; 0 without one."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _names_launcher(argv: list[str]) -> bool:
    return any(word == "--launcher" or word.startswith("--launcher=") for word in argv)


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """The agent leaves its own handlers behind, which raise wherever this process stands when a signal comes."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in _SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            if handler is not None and signal.getsignal(getattr(signal, name)) is not handler:
                signal.signal(getattr(signal, name), handler)


def _agent_config(nproc: int, max_restarts: int) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=nproc,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=max_restarts,
        monitor_interval=0.1,
        signals_to_handle=",".join(_SIGNALS),
    )
