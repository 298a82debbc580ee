"""What the public collectives are built on: one object per situation, so that no function asks twice.

`Alone` answers outside a process group, `Outside` where this process is not in the group, and `GroupCommunicator`
passes on to `torch.distributed`. In debug mode the last is a `CheckedCommunicator`. `eng.dist._communicators` chooses.
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
    """Moves contiguous tensors of `device` between the ranks of a group."""

    rank: int
    size: int
    ranks: Sequence[int]  # the group's members by their numbers among all processes
    device: torch.device

    def all_reduce(self, data: Tensor, op: Any) -> None:
        """Reduces `data` in place."""

    def all_gather(self, data: Tensor) -> list[Tensor]:
        """The `data` of every rank; shapes are equal on all of them."""

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        """The `data` of every rank on global rank `dst`, an empty list on the others."""

    def broadcast(self, data: Tensor, src: int) -> None:
        """Overwrites `data` with that of global rank `src`."""

    def send(self, data: Tensor, dst: int) -> None:
        """Sends `data` to global rank `dst`, which calls `receive`."""

    def receive(self, data: Tensor, src: int) -> None:
        """Overwrites `data` with what global rank `src` sends."""

    def barrier(self) -> None:
        """Returns when all ranks have come."""


class Alone:
    """The only process: what goes out comes back."""

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
    """A process that is not in the group: nothing changes, nothing comes."""

    rank, size = -1, -1
    ranks: Sequence[int] = ()

    def all_gather(self, data: Tensor) -> list[Tensor]:
        return []

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        return []


class GroupCommunicator:
    """`torch.distributed` on one group, telling the watch, if there is one, what it waits for."""

    def __init__(self, group: ProcessGroup, watch: Watching | None = None) -> None:
        # A strong reference would keep the group alive as a key of the table that holds this object.
        self._group = weakref.ref(group)
        self.rank = torch_dist.get_rank(group)
        self.size = torch_dist.get_world_size(group)
        self.ranks: Sequence[int] = tuple(torch_dist.get_process_group_ranks(group))
        self.device = device_of(str(torch_dist.get_backend_config(group)))
        self.watch = watch

    @property
    def group(self) -> ProcessGroup | None:
        """The group; None once it is destroyed."""
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
    """Where a backend takes its data from, by torch's description of it, such as ``'cpu:gloo,cuda:nccl'``.

    A group that serves both takes CPU data as it is, so the CPU is the answer.
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
