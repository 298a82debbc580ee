"""Collectives on Python objects, which are pickled."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from eng.dist._communicator import Communicator
from eng.dist._communicators import communicator
from eng.dist._tensors import check_member
from eng.dist.errors import ContainerTypeError, UnpicklableError

_FAILED = -1


def all_gather_object(data: Any, group: ProcessGroup | None = None) -> list[Any]:
    """Returns the objects of all ranks, in the order of ranks.

    Args:
        data: any object that can be pickled; its size may differ between ranks.
        group: a process group; None for the group of all processes.

    Returns:
        One object per rank; the object of this rank is `data` itself. Without a process group ``[data]``.

    Raises:
        UnpicklableError: raised on all ranks if the object of a rank cannot be pickled; the message names the ranks.

    Example:
        >>> all_gather_object({'rank': 0})
        [{'rank': 0}]
    """
    comm = communicator(group)
    if comm.size <= 1:
        return [data] if comm.size == 1 else []
    payload, sizes = exchange_sizes(data, comm)
    parts = comm.all_gather(_padded(payload, max(sizes), comm))
    sent = enumerate(zip(parts, sizes, strict=True))
    return [data if rank == comm.rank else loads(part[:size]) for rank, (part, size) in sent]


def gather_object(data: Any, dst: int = 0, group: ProcessGroup | None = None) -> list[Any] | None:
    """Returns the objects of all ranks on one rank.

    The ranks send their pickled objects one after another without padding, so that rank `dst` holds the bytes of one
    rank at a time. The object of rank `dst` itself is returned without a copy.

    Args:
        data: any object that can be pickled; its size may differ between ranks.
        dst: global rank of the receiver.
        group: a process group; None for the group of all processes.

    Returns:
        One object per rank on rank `dst`; None on the other ranks; ``[data]`` without a process group.

    Raises:
        UnpicklableError: raised on all ranks if the object of a rank cannot be pickled; the message names the ranks.
        ValueError: rank `dst` is not in the group.

    Example:
        >>> gather_object('dog')
        ['dog']
    """
    comm = communicator(group)
    if comm.size <= 1:
        return [data] if comm.size == 1 else None
    check_member(dst, "dst", comm)
    is_target = comm.ranks[comm.rank] == dst
    payload, sizes = exchange_sizes(data, comm, own_stays=is_target)
    if not is_target:
        comm.send(payload.to(comm.device), dst)
        return None
    return [data if rank == comm.rank else _received(comm, rank, size) for rank, size in enumerate(sizes)]


def broadcast_object_list(data: list[Any], src: int = 0, group: ProcessGroup | None = None) -> None:
    """Overwrites the items of a list with the items of one rank's list.

    Args:
        data: on rank `src` a list of objects that can be pickled; on the other ranks a list of the same length.
        src: global rank of the sender.
        group: a process group; None for the group of all processes.

    Raises:
        TypeError: `data` is not a list.
        UnpicklableError: raised on all ranks if an item of rank `src` cannot be pickled.
        ValueError: rank `src` is not in the group, or its list has another length.

    Example:
        >>> broadcast_object_list(['dog', 1])  # a single process changes nothing
    """
    if not isinstance(data, list):
        raise ContainerTypeError(f"data should be a list, but got {type(data).__name__}")
    comm = communicator(group)
    if comm.size <= 1:
        return
    check_member(src, "src", comm)
    is_source = comm.ranks[comm.rank] == src
    payload, failure = _pickled(data) if is_source else (torch.empty(0, dtype=torch.uint8), None)
    size = torch.tensor([payload.numel() if failure is None else _FAILED], device=comm.device)
    comm.broadcast(size, src)
    _raise_failures({src} if int(size) == _FAILED else set(), failure)
    wire = payload.to(comm.device) if is_source else torch.empty(int(size), dtype=torch.uint8, device=comm.device)
    comm.broadcast(wire, src)
    if not is_source:
        _replace(data, loads(wire), src)


def sync_random_seed(group: ProcessGroup | None = None) -> int:
    """Returns a seed that is equal on all ranks; rank 0 of the group draws it from numpy's global generator.

    Returns:
        An integer from 0 to 2**31 - 1.

    Example:
        >>> 0 <= sync_random_seed() < 2**31
        True
    """
    comm = communicator(group)
    seed = int(np.random.randint(2**31))  # noqa: NPY002 # users seed NumPy's global generator
    if comm.size <= 1:
        return seed
    wire = torch.tensor([seed], dtype=torch.int64, device=comm.device)
    comm.broadcast(wire, comm.ranks[0])
    return int(wire)


def exchange_sizes(data: Any, comm: Communicator, own_stays: bool = False) -> tuple[Tensor, list[int]]:
    """Pickles the object of this rank and exchanges the sizes of the pickled objects between all ranks.

    If the object of a rank cannot be pickled, all ranks raise an error here instead of waiting for its bytes later.

    Args:
        data: the object of this rank.
        comm: communicator of the process group.
        own_stays: whether the object of this rank is not sent, so that it need not be pickled.

    Returns:
        The pickled object of this rank as an (n,) uint8 tensor on the CPU, and the number of bytes of every rank.

    Raises:
        UnpicklableError: raised on all ranks if the object of a rank cannot be pickled; the message names the ranks.
    """
    payload, failure = (torch.empty(0, dtype=torch.uint8), None) if own_stays else _pickled(data)
    size = torch.tensor([payload.numel() if failure is None else _FAILED], dtype=torch.int64, device=comm.device)
    sizes = [int(part) for part in comm.all_gather(size)]
    _raise_failures({comm.ranks[rank] for rank, size in enumerate(sizes) if size == _FAILED}, failure)
    return payload, sizes


def loads(payload: Tensor) -> Any:
    """Unpickles the object in a tensor of bytes."""
    return pickle.loads(payload.cpu().numpy().data)


def where_unpicklable(data: Any, path: str = "data") -> str:
    """Returns the path to the innermost value that cannot be pickled, such as ``data[3]['fn']``.

    Example:
        >>> where_unpicklable([1, {'fn': lambda: 0}])
        "data[1]['fn']"
    """
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(data, Mapping):
        items = data.items()
    elif isinstance(data, (list, tuple)):
        items = enumerate(data)
    for key, value in items:
        try:
            pickle.dumps(value)
        except Exception:  # noqa: BLE001 # pickling calls code of the object, which may raise anything
            return where_unpicklable(value, f"{path}[{key!r}]")
    return path


def _pickled(data: Any) -> tuple[Tensor, Exception | None]:
    """Pickles an object into an (n,) uint8 tensor on the CPU.

    Returns:
        The tensor and None; or, if the object cannot be pickled, an empty tensor and the error. The error is not raised
        here, because all ranks must first learn of the failure.
    """
    try:
        raw = io.BytesIO()  # `torch.frombuffer` below shares the memory of this buffer, so the bytes are not copied.
        pickle.dump(data, raw, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 # pickling calls code of the object, which may raise anything; all ranks learn of the error before it is raised
        failed = UnpicklableError((), f"{where_unpicklable(data)} cannot be pickled: {type(error).__name__}: {error}")
        failed.__cause__ = error
        return torch.empty(0, dtype=torch.uint8), failed
    return torch.frombuffer(raw.getbuffer(), dtype=torch.uint8), None


def _raise_failures(ranks: set[int], own_error: Exception | None) -> None:
    """Raises an error on all ranks if the object of a rank cannot be pickled.

    Args:
        ranks: the ranks whose object cannot be pickled; nothing happens if there are none.
        own_error: the error of this rank, which becomes part of the message; None if its object can be pickled.

    Raises:
        UnpicklableError: `ranks` is not empty.
    """
    if not ranks:
        return
    names = ", ".join(map(str, sorted(ranks)))
    detail = f": {own_error}" if own_error is not None else "; its own error says what and why"
    raise UnpicklableError(sorted(ranks), f"rank {names} has an object that cannot be pickled{detail}") from own_error


def _padded(payload: Tensor, length: int, comm: Communicator) -> Tensor:
    wire = torch.empty(length, dtype=torch.uint8, device=comm.device)
    wire[: payload.numel()] = payload
    return wire


def _received(comm: Communicator, rank: int, size: int) -> Any:
    wire = torch.empty(size, dtype=torch.uint8, device=comm.device)
    comm.receive(wire, comm.ranks[rank])
    return loads(wire)


def _replace(data: list[Any], objects: list[Any], src: int) -> None:
    if len(objects) != len(data):
        raise ValueError(f"rank {src} broadcasts {len(objects)} objects, but this rank's list has {len(data)} places")
    data[:] = objects
