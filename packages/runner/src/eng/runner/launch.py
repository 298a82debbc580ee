"""Several processes, of this machine alone or of several machines, started and watched by torchrun's elastic agents."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eng.dist import all_gather_object, get_rank
from eng.logging.process import is_this_process
from eng.logging.starts import START_FILE, job_name, read_start

from .call import ORIGINAL_CALL, original_words

logger = logging.getLogger(__name__)

_SIGNALS = tuple(name for name in ("SIGTERM", "SIGINT", "SIGUSR1") if name in signal.Signals.__members__)
"""Signals at which the agent ends its processes."""
STORE_OF_EACH_START = ("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
"""Makes agents tell the address of rank 0 at each start.

Without it the agents of torch 2.13 keep the address of the first start, and one that joins waits for it in vain.
"""


@dataclass(frozen=True)
class Meeting:
    """Where and how the agents of several machines meet.

    Args:
        min_nodes: machines without which the job does not run.
        max_nodes: machines that the job takes.
        endpoint: ``HOST:PORT`` of the machine whose agent serves the store of the job.
        run_id: name of the job, the same on all machines.
        options: times of the meeting, by torch's names, such as ``last_call_timeout``.
    """

    min_nodes: int = 1
    max_nodes: int = 1
    endpoint: str = "localhost:0"
    run_id: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, nnodes: str | None, endpoint: str | None, run_id: str | None, conf: str | None) -> Meeting:
        """The meeting that options of the command line describe.

        Args:
            nnodes: ``N`` or ``MIN:MAX``; None is 1.
            endpoint: ``HOST:PORT``; None for one machine.
            run_id: None takes the endpoint.
            conf: ``KEY=VALUE,...``; None changes no time.

        Raises:
            ValueError: an option is not of its form, or several machines have no address to meet at.
        """
        least, colon, most = (nnodes or "1").partition(":")
        if not colon:
            most = least
        if not least.isdigit() or not most.isdigit() or not 1 <= int(least) <= int(most):
            raise ValueError(f"--nnodes takes a number of machines or MIN:MAX, such as 2 or 1:4, got {nnodes!r}")
        if endpoint is None and int(most) > 1:
            raise ValueError("--nnodes above 1 needs --rdzv HOST:PORT, an address of the first machine")
        if endpoint is not None and not endpoint.rpartition(":")[2].isdigit():
            raise ValueError(f"--rdzv takes HOST:PORT, such as host0:29500, got {endpoint!r}")
        pairs = [pair.partition("=") for pair in (conf or "").split(",") if pair]
        if not all(mark and key for key, mark, _ in pairs):
            raise ValueError(f"--rdzv-conf takes KEY=VALUE,..., such as last_call_timeout=10, got {conf!r}")
        options = {key.strip(): value.strip() for key, _, value in pairs}
        address = endpoint or "localhost:0"
        return cls(int(least), int(most), address, run_id or endpoint or "", options)

    @property
    def is_local(self) -> bool:
        """Whether the machines are this one."""
        return self.endpoint.rpartition(":")[0] in ("localhost", "127.0.0.1")


def relaunch_with_agent(nproc: int, argv: list[str], max_restarts: int = 0, meeting: Meeting | None = None) -> int:
    """Runs ``python -m eng.cli ARGV --launcher pytorch`` in ``nproc`` processes and waits for them.

    When one ends with an error, the others are ended too; then all are started again, up to ``max_restarts`` times, and
    a training run goes on from its newest checkpoint. So it does on the machines that are left when a machine is lost,
    and when one joins, as far as the meeting's range allows.

    Args:
        nproc: number of processes on this machine, 1 or more.
        argv: words of the command, without the program's name.
        max_restarts: how often to start again. 0 by default.
        meeting: of this machine with others; None (default) is a job of one machine.

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

    meeting = meeting or Meeting()
    environment = {**os.environ}
    if meeting.min_nodes < meeting.max_nodes:
        os.environ.setdefault(*STORE_OF_EACH_START)
    os.environ[ORIGINAL_CALL] = json.dumps(original_words())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // nproc)))
    arguments = ["-m", "eng.cli", *argv]
    if not _names_launcher(argv):
        arguments += ["--launcher", "pytorch"]
    try:
        with _restoring_signal_handlers():
            elastic_launch(_agent_config(nproc, max_restarts, meeting), sys.executable)(*arguments)
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
    if code >= 0:
        return code
    return 128 - code


def after_restart(
    resume: bool | str, load_from: str | None, work_dir: str, log_dir: str | None = None
) -> tuple[bool | str, str | None]:
    """``resume`` and ``load_from`` of a run whose processes a launcher may have started again; all ranks call it.

    A run that was started again goes on from its newest checkpoint, whatever it began with; one that had not written
    any begins as before.

    Args:
        resume: setting of the run.
        load_from: setting of the run.
        work_dir: of the run.
        log_dir: folder of this start; None where it has none yet.
    """
    from eng.checkpoint import find_latest_checkpoint

    # The agents' counts differ: one that joins later has 0, and none counts a start for a change of members.
    # Rank 0 alone wrote the earlier starts, and knows which of them was this process.
    earlier = 0
    if get_rank() == 0:
        earlier = unfinished_starts(work_dir, log_dir)
    restarts = max(all_gather_object(restarts_so_far() or earlier))
    if not restarts or find_latest_checkpoint(work_dir) is None:
        return resume, load_from
    logger.warning("this is start %d of the processes: the run goes on from its checkpoint", restarts + 1)
    return True, None


def restarts_so_far() -> int:
    """How often this machine's agent or Slurm has started this process again, as it counts; 0 without one."""
    return max(int(os.environ.get(name) or "0") for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"))


def unfinished_starts(work_dir: str, log_dir: str | None) -> int:
    """How many earlier starts the job of the elastic agents has in a folder; 0 where one of them reached its end.

    Args:
        work_dir: holds a folder for each start.
        log_dir: folder of this start.
    """
    from .passport.record import END

    job = job_name()
    if job is None:
        return 0
    folders = [path.parent for path in Path(work_dir).glob(f"*/{START_FILE}") if path.parent != Path(log_dir or "")]
    facts = {folder: read_start(folder) for folder in folders}
    mine = [f for f, start in facts.items() if start.get("job") == job and not is_this_process(start)]
    if any('"status": "done"' in _text(folder / END) for folder in mine):
        return 0
    return len(mine)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _names_launcher(argv: list[str]) -> bool:
    return any(argument == "--launcher" or argument.startswith("--launcher=") for argument in argv)


@contextmanager
def _restoring_signal_handlers() -> Iterator[None]:
    """The agent leaves its own handlers behind, which raise wherever this process stands when a signal comes."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in _SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            if handler is not None and signal.getsignal(getattr(signal, name)) is not handler:
                signal.signal(getattr(signal, name), handler)


def _agent_config(nproc: int, max_restarts: int, meeting: Meeting) -> Any:
    """The configuration of torch's elastic agent for the processes of this machine."""
    from torch.distributed.launcher.api import LaunchConfig

    local_addr = None
    if meeting.is_local:
        local_addr = "localhost"
    return LaunchConfig(
        min_nodes=meeting.min_nodes,
        max_nodes=meeting.max_nodes,
        nproc_per_node=nproc,
        run_id=meeting.run_id or uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=meeting.endpoint,
        rdzv_configs=dict(meeting.options),
        local_addr=local_addr,
        max_restarts=max_restarts,
        monitor_interval=0.1,
        signals_to_handle=",".join(_SIGNALS),
    )
