"""Rank, world size and related facts of this process; without a process group it counts as the only process."""

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

_AVAILABLE = torch_dist.is_available()  # False if torch was built without distributed support.
# Key: the group of all processes. Value: the group of the processes on this machine, as `init_local_group` created it.
_LOCAL_GROUPS: PerGroup[ProcessGroup] = PerGroup()


def is_distributed() -> bool:
    """Whether this process belongs to a process group.

    Example:
        >>> is_distributed()
        False
    """
    return _AVAILABLE and torch_dist.is_initialized()


def get_default_group() -> ProcessGroup | None:
    """Returns the process group of all processes; None if there is no process group."""
    return torch_dist.group.WORLD if is_distributed() else None


def get_backend(group: ProcessGroup | None = None) -> str | None:
    """Returns the name of a group's backend in lower case.

    Args:
        group: a process group; None for the group of all processes.

    Returns:
        The name, such as ``'nccl'``; None if there is no process group.
    """
    return str(torch_dist.get_backend(group)) if is_distributed() else None


def get_world_size(group: ProcessGroup | None = None) -> int:
    """Returns the number of processes in a group; 1 without a process group, -1 if this process is not in `group`.

    Example:
        >>> get_world_size()
        1
    """
    return torch_dist.get_world_size(group) if is_distributed() else 1


def get_rank(group: ProcessGroup | None = None) -> int:
    """Returns the rank of this process in a group; 0 without a process group, -1 if this process is not in `group`.

    Example:
        >>> get_rank()
        0
    """
    return torch_dist.get_rank(group) if is_distributed() else 0


def get_dist_info(group: ProcessGroup | None = None) -> tuple[int, int]:
    """Returns the rank of this process and the number of processes in a group.

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
    """Creates a process group for the processes of each machine; all ranks must call it once, after `init_dist`.

    Args:
        node_rank: number of this machine, from 0.
        num_gpus_per_node: number of processes per machine; the last machine may have fewer.

    Raises:
        RuntimeError: there is no process group, or the local group already exists.
        ValueError: this rank does not belong to machine `node_rank`.
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
    # torch requires that every rank creates the groups of all machines in the same order, not only its own group.
    nodes = [range(first, min(first + num_gpus_per_node, size)) for first in range(0, size, num_gpus_per_node)]
    groups = [torch_dist.new_group(list(ranks)) for ranks in nodes]
    _LOCAL_GROUPS.set(world, groups[node_rank])


def get_local_group() -> ProcessGroup | None:
    """Returns the process group of this machine's processes; None if there is no process group.

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
    """Returns the number of processes on this machine; 1 if there is no process group.

    If `init_local_group` was not called, the environment variable LOCAL_WORLD_SIZE, which the launcher sets, is used.

    Raises:
        RuntimeError: there is neither a local group nor the environment variable.
    """
    if not is_distributed():
        return 1
    number = _launcher_number("LOCAL_WORLD_SIZE")
    return number if number is not None else torch_dist.get_world_size(get_local_group())


def get_local_rank() -> int:
    """Returns the rank of this process on its machine; 0 if there is no process group.

    If `init_local_group` was not called, the environment variable LOCAL_RANK, which the launcher sets, is used.

    Raises:
        RuntimeError: there is neither a local group nor the environment variable.
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
    """Decorator that runs a function on rank 0 only; on the other ranks the call returns None.

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
