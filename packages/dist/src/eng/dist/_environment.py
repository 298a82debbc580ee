"""Who this process is among all; outside a process group, the only one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch.distributed as torch_dist
from torch.distributed import ProcessGroup

from eng.dist._per_group import PerGroup
from eng.dist.errors import LocalGroupError

_P = ParamSpec("_P")
_R = TypeVar("_R")

_AVAILABLE = torch_dist.is_available()  # how torch was built
# The group of this machine's processes, forgotten together with the default group it was made in.
_LOCAL_GROUPS: PerGroup[ProcessGroup] = PerGroup()


def is_distributed() -> bool:
    """Whether this process belongs to a process group.

    Example:
        >>> is_distributed()
        False
    """
    return _AVAILABLE and torch_dist.is_initialized()


def get_default_group() -> ProcessGroup | None:
    """The group of all processes; None outside a process group."""
    return torch_dist.group.WORLD if is_distributed() else None


def get_backend(group: ProcessGroup | None = None) -> str | None:
    """Name of a group's backend in lower case.

    Args:
        group: None is the group of all processes.

    Returns:
        Such as ``'nccl'``; None outside a process group.
    """
    return str(torch_dist.get_backend(group)) if is_distributed() else None


def get_world_size(group: ProcessGroup | None = None) -> int:
    """Number of processes in a group; 1 outside a process group, -1 where this process is not in `group`.

    Example:
        >>> get_world_size()
        1
    """
    return torch_dist.get_world_size(group) if is_distributed() else 1


def get_rank(group: ProcessGroup | None = None) -> int:
    """Number of this process in a group; 0 outside a process group, -1 where this process is not in `group`.

    Example:
        >>> get_rank()
        0
    """
    return torch_dist.get_rank(group) if is_distributed() else 0


def get_dist_info(group: ProcessGroup | None = None) -> tuple[int, int]:
    """Rank and world size.

    Example:
        >>> get_dist_info()
        (0, 1)
    """
    return get_rank(group), get_world_size(group)


def is_main_process(group: ProcessGroup | None = None) -> bool:
    """Whether this process is rank 0 of a group.

    Example:
        >>> is_main_process()
        True
    """
    return get_rank(group) == 0


def init_local_group(node_rank: int, num_gpus_per_node: int) -> None:
    """Makes the group of the processes of each machine; all ranks call it, once per process group.

    Args:
        node_rank: number of this machine, from 0.
        num_gpus_per_node: processes per machine; the last machine may have fewer.

    Raises:
        RuntimeError: there is no process group, or its local group exists already.
        ValueError: this rank is not among the ranks of machine `node_rank`.
    """
    world = get_default_group()
    if world is None or _LOCAL_GROUPS.get(world) is not None:
        state = "there is no process group yet" if world is None else "the local process group exists already"
        raise LocalGroupError(f"init_local_group: {state}; call it once, after init_dist")
    rank, size = get_dist_info()
    if num_gpus_per_node < 1 or rank // num_gpus_per_node != node_rank:
        raise ValueError(
            f"rank {rank} is not on machine {node_rank} with {num_gpus_per_node} processes per machine; "
            "ranks are expected to be numbered machine by machine"
        )
    # Every rank takes part in making every group, in the same order: torch asks for it.
    nodes = [range(first, min(first + num_gpus_per_node, size)) for first in range(0, size, num_gpus_per_node)]
    groups = [torch_dist.new_group(list(ranks)) for ranks in nodes]
    _LOCAL_GROUPS.set(world, groups[node_rank])


def get_local_group() -> ProcessGroup | None:
    """The group of this machine's processes; None outside a process group.

    Raises:
        RuntimeError: `init_local_group` was not called.
    """
    world = get_default_group()
    if world is None:
        return None
    group = _LOCAL_GROUPS.get(world)
    if group is None:
        raise RuntimeError(
            "there is no group of this machine's processes yet; call init_local_group on all ranks first"
        )
    return group


def get_local_size() -> int:
    """Number of processes on this machine; 1 outside a process group.

    Without a local group, what the launcher said (LOCAL_WORLD_SIZE) counts.

    Raises:
        RuntimeError: neither is there.
    """
    if not is_distributed():
        return 1
    number = _launcher_number("LOCAL_WORLD_SIZE")
    return number if number is not None else torch_dist.get_world_size(get_local_group())


def get_local_rank() -> int:
    """Number of this process on its machine; 0 outside a process group.

    Without a local group, what the launcher said (LOCAL_RANK) counts.

    Raises:
        RuntimeError: neither is there.
    """
    if not is_distributed():
        return 0
    number = _launcher_number("LOCAL_RANK")
    return number if number is not None else torch_dist.get_rank(get_local_group())


def _launcher_number(variable: str) -> int | None:
    world = get_default_group()
    has_group = world is not None and _LOCAL_GROUPS.get(world) is not None
    return None if has_group or variable not in os.environ else int(os.environ[variable])


def master_only(func: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Decorator: only rank 0 runs the function, the others get None.

    Example:
        >>> @master_only
        ... def announce() -> str:
        ...     return 'hello'
        >>> announce()
        'hello'
    """

    @functools.wraps(func)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        return func(*args, **kwargs) if is_main_process() else None

    return run
