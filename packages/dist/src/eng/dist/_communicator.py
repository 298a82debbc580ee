"""Communicators, the objects through which the public collectives exchange tensors.

`Alone` is used without a process group, `Outside` if this process is not in the group, and `GroupCommunicator` calls
`torch.distributed`; in debug mode `CheckedCommunicator` takes its place. `eng.dist._communicators` selects one of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as torch_dist
from torch import Tensor
from torch.distributed import ProcessGroup

from eng.device._table import ACCELERATORS, accelerator
from eng.dist._watching import Wait, Watching

_DEVICE_OF_BACKEND = {row.backend: row.name for row in ACCELERATORS if row.backend} | {"smddp": "cuda"}


class Communicator(Protocol):
    """Interface of the objects that exchange tensors between the ranks of a process group.

    The tensors must be contiguous and on `device`, the device on which the backend communicates.
    """

    rank: int
    size: int
    ranks: Sequence[int]  # The global ranks of the members of the group.
    device: torch.device

    def all_reduce(self, data: Tensor, op: Any) -> None:
        """Reduces the tensors of all ranks with the operation `op` and writes the result into `data`."""

    def all_gather(self, data: Tensor) -> list[Tensor]:
        """Returns the tensors of all ranks; their shapes must be equal."""

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        """Returns the tensors of all ranks on global rank `dst`, and an empty list on the other ranks."""

    def broadcast(self, data: Tensor, src: int) -> None:
        """Overwrites `data` with the tensor of global rank `src`."""

    def send(self, data: Tensor, dst: int) -> None:
        """Sends a tensor to global rank `dst`, which must call `receive`."""

    def receive(self, data: Tensor, src: int) -> None:
        """Overwrites `data` with the tensor that global rank `src` sends."""

    def barrier(self) -> None:
        """Waits until all ranks of the group have called this method."""


class Alone:
    """Communicator of a single process without a process group: gathering returns the process's own tensor."""

    rank, size = 0, 1
    ranks: Sequence[int] = (0,)
    device = torch.device("cpu")

    def all_reduce(self, data: Tensor, op: Any) -> None:
        return None

    def all_gather(self, data: Tensor) -> list[Tensor]:
        return [data]

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        return [data]

    def broadcast(self, data: Tensor, src: int) -> None:
        return None

    def send(self, data: Tensor, dst: int) -> None:
        return None

    def receive(self, data: Tensor, src: int) -> None:
        return None

    def barrier(self) -> None:
        return None


class Outside(Alone):
    """Communicator that a process uses for a process group to which it does not belong.

    Reductions and broadcasts leave tensors unchanged; gathering returns an empty list.
    """

    rank, size = -1, -1
    ranks: Sequence[int] = ()

    def all_gather(self, data: Tensor) -> list[Tensor]:
        return []

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        return []


class GroupCommunicator:
    """Communicator that calls the collectives of `torch.distributed` on one process group.

    If a watch runs (see `eng.dist.start_watch`), every call tells the watch in which collective this process waits.
    """

    def __init__(self, group: ProcessGroup, watch: Watching | None = None) -> None:
        # The reference to the group is weak. This communicator is a value in a table whose weak keys are the process
        # groups; a strong reference in the value would keep a destroyed group alive.
        self._group = weakref.ref(group)
        self.rank = torch_dist.get_rank(group)
        self.size = torch_dist.get_world_size(group)
        self.ranks: Sequence[int] = tuple(torch_dist.get_process_group_ranks(group))
        self.device = device_of(str(torch_dist.get_backend_config(group)))
        self.watch = watch

    @property
    def group(self) -> ProcessGroup | None:
        """The process group; None after it was destroyed."""
        return self._group()

    def all_reduce(self, data: Tensor, op: Any) -> None:
        self._run("all_reduce", torch_dist.all_reduce, data, op, self.group)

    def all_gather(self, data: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(data) for _ in range(self.size)]
        self._run("all_gather", torch_dist.all_gather, parts, data, self.group)
        return parts

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        is_target = torch_dist.get_rank() == dst
        parts = [torch.empty_like(data) for _ in range(self.size)] if is_target else []
        self._run("gather", torch_dist.gather, data, parts or None, dst, self.group)
        return parts

    def broadcast(self, data: Tensor, src: int) -> None:
        self._run("broadcast", torch_dist.broadcast, data, src, self.group)

    def send(self, data: Tensor, dst: int) -> None:
        self._run("send", torch_dist.send, data, dst, self.group)

    def receive(self, data: Tensor, src: int) -> None:
        self._run("receive", torch_dist.recv, data, src, self.group)

    def barrier(self) -> None:
        self._run("barrier", torch_dist.barrier, self.group)

    def _run(self, name: str, call: Callable[..., Any], *args: Any) -> None:
        watch = self.watch
        if watch is None:
            call(*args)
            return
        with Wait(watch, name):
            call(*args)


def device_of(backend_config: str) -> torch.device:
    """Returns the device on which a backend communicates.

    Args:
        backend_config: torch's description of the backend, such as ``'gloo'`` or ``'cpu:gloo,cuda:nccl'``. For a group
            that supports both CPU and GPU tensors, the CPU is returned.
    """
    backends = dict(pair.split(":", 1) for pair in backend_config.split(",") if ":" in pair)
    names = list(backends.values()) or [backend_config]
    if backends.get("cpu") in {"gloo", "mpi", "ucc"}:
        return torch.device("cpu")
    name = next((_DEVICE_OF_BACKEND[name] for name in names if name in _DEVICE_OF_BACKEND), "cpu")
    if name == "cpu":
        return torch.device("cpu")
    return torch.device(name, accelerator(name).current_index())


__all__ = ["Alone", "Communicator", "GroupCommunicator", "Outside", "device_of"]
