"""Identity of a process (host, process id and start time), which is written into files to find out who wrote them.

The start time is needed because process ids are reused: after the restart of a container, the next process often has the same
id.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["is_alive", "is_this_process", "start_of", "this_process"]

# Index of the start time among the fields of /proc/PID/stat that follow the program's name.
_FIELDS_BEFORE_START = 19


def this_process() -> dict[str, Any]:
    """Returns host, process id and start time of this process, as JSON data."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": start_of(os.getpid())}


def start_of(pid: int) -> str | None:
    """Identifies the start of a process by the machine's boot id and the clock ticks since boot.

    Returns:
        The identifier; None if there is no such process, or on systems without /proc.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The program's name is in parentheses and may contain spaces and parentheses, so the last ")" is searched.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}:{int(fields[_FIELDS_BEFORE_START])}"
    except (OSError, ValueError, IndexError):
        return None


def is_this_process(facts: Mapping[str, Any]) -> bool:
    """Whether ``facts``, which :func:`this_process` returned in some process, identify this process.

    Facts that an earlier version of eng wrote have no start time; only host and process id are then compared.
    """
    current = this_process()
    return all(facts.get(key) == current[key] for key in ("host", "pid")) and _began_as(facts, current["started"])


def is_alive(facts: Mapping[str, Any]) -> bool:
    """Whether the process that ``facts`` identify still runs.

    A process on another host cannot be checked and counts as alive.
    """
    pid = facts.get("pid")
    if not isinstance(pid, int):
        return False
    if facts.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # The process belongs to another user, or the number is too large for a process id. The start time decides
        # below.
        pass
    return _began_as(facts, start_of(pid))


def _began_as(facts: Mapping[str, Any], started: str | None) -> bool:
    """Whether the start time in ``facts`` is ``started``; True if one of the two is unknown."""
    return facts.get("started") is None or started is None or facts["started"] == started
