"""The process that started this rank, where a launcher did."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Each launcher sets one of these. A rank that a shell started may outlive the shell, as under nohup.
_SET_BY_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


def launcher_pid(env: Mapping[str, str]) -> int | None:
    """The launcher's process id; None where no launcher started this process, or it is gone already."""
    parent = os.getppid()
    return parent if parent > 1 and any(name in env for name in _SET_BY_LAUNCHERS) else None
