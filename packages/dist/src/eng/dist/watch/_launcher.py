"""Finds the launcher process that started this rank."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Each launcher sets one of these environment variables. If none is set, a shell started this process, and the process
# may continue after the shell has ended (nohup).
_SET_BY_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


def launcher_pid(env: Mapping[str, str]) -> int | None:
    """Returns the process id of the launcher; None if no launcher started this process or the launcher has ended."""
    parent = os.getppid()
    return parent if parent > 1 and any(name in env for name in _SET_BY_LAUNCHERS) else None
