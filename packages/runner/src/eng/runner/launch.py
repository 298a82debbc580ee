"""Starts the processes of a run by torchrun's elastic agent, on this machine or on several machines."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any

from eng.dist import all_gather_object, get_rank
from eng.logging.process import is_this_process
from eng.logging.starts import START_FILE, job_name, read_start

from .call import ORIGINAL_CALL, original_words

logger = logging.getLogger(__name__)

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1") if hasattr(signal, name)
)
"""Signals whose handlers torch's agent or this module replaces while processes of a run exist."""
STORE_OF_EACH_START = ("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
"""Environment variable that makes agents agree on rank 0's address at each start of the processes.

Without this variable the agents of torch 2.13 keep the address of the first start, for which an agent that joins later
waits in vain.
"""


@dataclass(frozen=True)
class Meeting:
    """Settings of the rendezvous, at which the agents of several machines find each other.

    Args:
        min_nodes: smallest number of machines with which the job runs.
        max_nodes: largest number of machines.
        endpoint: ``HOST:PORT`` of the machine whose agent serves the rendezvous store.
        run_id: name of the job, the same on all machines.
        options: timeouts of the rendezvous by torch's names, such as ``last_call_timeout``.
    """

    min_nodes: int = 1
    max_nodes: int = 1
    endpoint: str = "localhost:0"
    run_id: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, nnodes: str | None, endpoint: str | None, run_id: str | None, conf: str | None) -> Meeting:
        """Builds the settings from command-line options.

        Args:
            nnodes: number of machines as ``N``, or its range as ``MIN:MAX``; None means one machine.
            endpoint: ``HOST:PORT`` where the machines meet; None for one machine.
            run_id: name of the job, the same on all machines; None uses the endpoint as name.
            conf: timeouts as ``KEY=VALUE,...``; None keeps torch's defaults.

        Raises:
            ValueError: an option has the wrong form, or several machines have no ``endpoint``.
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
        """Whether the endpoint is on this machine."""
        return self.endpoint.rpartition(":")[0] in ("localhost", "127.0.0.1")


def relaunch_with_agent(nproc: int, argv: list[str], max_restarts: int = 0, meeting: Meeting | None = None) -> int:
    """Runs ``python -m eng.cli ARGV --launcher pytorch`` in ``nproc`` processes and waits for them.

    If a process fails, the agent ends the others and starts all again, up to ``max_restarts`` times; a training then
    resumes from its newest checkpoint. The same happens when a machine is lost or joins, within ``min_nodes`` and
    ``max_nodes``.

    Args:
        nproc: number of processes on this machine, 1 or more.
        argv: arguments of the command, without the program's name.
        max_restarts: largest number of restarts. 0 by default.
        meeting: rendezvous with other machines; None (default) is a job on one machine.

    Returns:
        The exit status: 0, or that of the process that failed first (128 + N for a process that signal N ended).

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
        with _ending_at_signals():
            elastic_launch(_agent_config(nproc, max_restarts, meeting), sys.executable)(*arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        logger.error("rank %d failed first, with exit status %d; its traceback stands above", rank, failure.exitcode)
        return status_of(failure.exitcode)
    except SignalException as error:
        return 128 + int(error.sigval)
    finally:  # The new variables are only meant for the processes of the run.
        os.environ.clear()
        os.environ.update(environment)
    return 0


def status_of(code: int) -> int:
    """Returns the exit status as a shell reports it: 128 + N for a process that signal N ended.

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
    """Returns ``resume`` and ``load_from`` for a run that a launcher may have restarted. All ranks must call it.

    A restarted run resumes from its newest checkpoint, whatever its settings say; if it has not saved a checkpoint yet,
    its settings are returned.

    Args:
        resume: the setting ``resume``.
        load_from: the setting ``load_from``.
        work_dir: work dir of the run.
        log_dir: timestamped subfolder of this launch; None before the folder exists.
    """
    from eng.checkpoint import find_latest_checkpoint

    # Restart counts of the agents differ: an agent that joins later has 0, and no agent counts a restart that a change
    # of machines causes. So rank 0 also counts the folders of earlier launches, which it wrote itself.
    earlier = 0
    if get_rank() == 0:
        earlier = unfinished_starts(work_dir, log_dir)
    restarts = max(all_gather_object(restarts_so_far() or earlier))
    if not restarts or find_latest_checkpoint(work_dir) is None:
        return resume, load_from
    logger.warning("this is start %d of the processes: the run goes on from its checkpoint", restarts + 1)
    return True, None


def restarts_so_far() -> int:
    """Returns the restart count of torchrun's agent or of Slurm; 0 without either."""
    return max(int(os.environ.get(name) or "0") for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"))


def unfinished_starts(work_dir: str, log_dir: str | None) -> int:
    """Counts the earlier launches of this job in a work dir; 0 if one of these launches has completed its training.

    The result is also 0 if no scheduler or elastic agent gave this process a job name.

    Args:
        work_dir: work dir of the run, which has a timestamped subfolder for each launch.
        log_dir: timestamped subfolder of this launch.
    """
    from .passport.record import END

    job = job_name()
    if job is None:
        return 0
    folders = [path.parent for path in Path(work_dir).glob(f"*/{START_FILE}") if path.parent != Path(log_dir or "")]
    facts = {folder: read_start(folder) for folder in folders}
    mine = [f for f, start in facts.items() if start.get("job") == job and not is_this_process(start)]
    if any('"status": "done"' in _text_or_empty(folder / END) for folder in mine):
        return 0
    return len(mine)


def _text_or_empty(path: Path) -> str:
    """Returns the text of a file; empty if the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _names_launcher(argv: list[str]) -> bool:
    return any(argument == "--launcher" or argument.startswith("--launcher=") for argument in argv)


@contextmanager
def _ending_at_signals() -> Iterator[None]:
    """A context in which SIGUSR1 ends the agent and its processes, as SIGTERM does; at its end it restores all handlers.

    Slurm sends SIGUSR1 before the end of a job's time. torch's agent handles SIGTERM and SIGINT itself, and its handlers
    would remain, and raise an exception at the next signal.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if hasattr(signal, "SIGUSR1") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, _end_agent)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _end_agent(number: int, frame: FrameType | None) -> None:
    """Handles a signal as torch's agent does: the agent sends the signal to its processes and waits for them.

    Raises:
        SignalException: always; the agent expects this exception.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException

    raise SignalException(f"process {os.getpid()} got signal {number}", sigval=signal.Signals(number))


def _agent_config(nproc: int, max_restarts: int, meeting: Meeting) -> Any:
    """Builds the configuration of torch's elastic agent for the processes of this machine."""
    from torch.distributed.launcher.api import LaunchConfig

    local_addr = None
    if meeting.is_local:
        local_addr = "localhost"
    signal_options: dict[str, Any] = {}
    # By default the agent also ends the run at SIGHUP, even under `nohup`. torch 2.6 to 2.9 have no option for this.
    if "signals_to_handle" in {option.name for option in fields(LaunchConfig)}:
        signal_options["signals_to_handle"] = "SIGTERM,SIGINT"
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
        **signal_options,
    )
