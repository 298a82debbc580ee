"""Identity of a process for files: by host, number and start.

The start is needed because systems reuse process numbers. In a container that restarts, the next process has the same number at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["is_alive", "is_this_process", "start_of", "this_process"]

_FIELDS_BEFORE_START = 19  # of /proc/PID/stat, behind the name of the program


def this_process() -> dict[str, Any]:
    """Host, number and start of this process, to be written into a file."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": start_of(os.getpid())}


def start_of(pid: int) -> str | None:
    """When a process began: the identifier of the machine's boot, and the clock tick after it.

    Returns:
        None where there is no such process, or where the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The program's name stands in parentheses, and may contain spaces and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}:{int(fields[_FIELDS_BEFORE_START])}"
    except (OSError, ValueError, IndexError):
        return None


def is_this_process(facts: Mapping[str, Any]) -> bool:
    """Whether this process wrote `facts` of :func:`this_process`; files of earlier versions name no start."""
    current = this_process()
    return all(facts.get(key) == current[key] for key in ("host", "pid")) and _began_as(facts, current["started"])


def is_alive(facts: Mapping[str, Any]) -> bool:
    """Whether the process that wrote `facts` still runs. A process of another machine cannot be checked and counts as alive."""
    pid = facts.get("pid")
    if not isinstance(pid, int):
        return False
    if facts.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user, or no number of a process
        pass
    return _began_as(facts, start_of(pid))


def _began_as(facts: Mapping[str, Any], started: str | None) -> bool:
    """Whether a process began at `started`; True where one of the two starts is unknown."""
    return facts.get("started") is None or started is None or facts["started"] == started
