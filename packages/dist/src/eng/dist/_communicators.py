"""Selects the communicator of a process group; it is created at the group's first collective."""

from __future__ import annotations

import torch.distributed as torch_dist
from torch.distributed import ProcessGroup

from eng.dist._agreement import CheckedCommunicator, check_enabled
from eng.dist._communicator import Alone, Communicator, GroupCommunicator, Outside
from eng.dist._per_group import PerGroup
from eng.dist._watching import current_watch

_ALONE, _OUTSIDE = Alone(), Outside()
_COMMUNICATORS: PerGroup[Communicator] = PerGroup()


def communicator(group: ProcessGroup | None = None) -> Communicator:
    """Returns the communicator of a process group; `group` None stands for the group of all processes.

    Without ``init_process_group`` the result is the communicator of a single process.
    """
    if not (torch_dist.is_available() and torch_dist.is_initialized()):
        return _ALONE
    group = torch_dist.group.WORLD if group is None else group
    if not isinstance(group, ProcessGroup):
        return _OUTSIDE
    return _COMMUNICATORS.get(group) or _make(group)


def forget_communicators() -> None:
    """Deletes the communicators of all process groups; called when a watch is started.

    A communicator reads the watch only when it is created, so the next collective must create a new one.
    """
    _COMMUNICATORS.clear()


def _make(group: ProcessGroup) -> Communicator:
    plain = GroupCommunicator(group, current_watch())
    comm: Communicator = CheckedCommunicator(plain) if check_enabled() and plain.size > 1 else plain
    _COMMUNICATORS.set(group, comm)
    return comm
