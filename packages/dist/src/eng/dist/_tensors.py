"""Collectives on tensors."""

from __future__ import annotations

import difflib

import torch
import torch.distributed as torch_dist
from torch import Tensor
from torch.distributed import ProcessGroup

from eng.dist import _wire
from eng.dist._communicator import Communicator
from eng.dist._communicators import communicator
from eng.dist.errors import LauncherError

_OPS = {
    "sum": torch_dist.ReduceOp.SUM,
    "mean": torch_dist.ReduceOp.SUM,  # The sum is divided by the number of ranks later: gloo has no ReduceOp.AVG.
    "product": torch_dist.ReduceOp.PRODUCT,
    "min": torch_dist.ReduceOp.MIN,
    "max": torch_dist.ReduceOp.MAX,
    "band": torch_dist.ReduceOp.BAND,
    "bor": torch_dist.ReduceOp.BOR,
    "bxor": torch_dist.ReduceOp.BXOR,
}
# Operations for boolean tensors, which are sent as the numbers 0 and 1. The sum of booleans means "any", so it is
# computed as the maximum; their product means "all", so it is computed as the minimum.
_BOOL_OPS = {
    **_OPS,
    "sum": torch_dist.ReduceOp.MAX,
    "product": torch_dist.ReduceOp.MIN,
}


def all_reduce(data: Tensor, op: str = "sum", group: ProcessGroup | None = None) -> None:
    """Reduces a tensor over the ranks, in place.

    Args:
        data: a tensor of any shape, type and device, with the same shape and type on all ranks. It need not be
            contiguous, nor on the backend's device.
        op: ``'sum'``, ``'mean'``, ``'min'``, ``'max'``, ``'product'``, ``'band'``, ``'bor'`` or ``'bxor'``. The mean
            of integers is rounded towards zero. For booleans the sum means "any" and the product "all".
        group: a process group; None for the group of all processes.

    Raises:
        LauncherError: the operation does not exist.
        TypeError: `op` is ``'mean'`` and `data` is boolean.

    Example:
        >>> data = torch.tensor([1., 2.])
        >>> all_reduce(data, op='mean')  # a single process changes nothing
        >>> data
        tensor([1., 2.])
    """
    reduce_op = reduce_op_of(op, data.dtype)
    comm = communicator(group)
    if comm.size <= 1:
        return
    plain = _wire.as_it_is(data, comm.device)
    wire = _wire.to_reduce(data, comm.device) if plain is None else plain
    comm.all_reduce(wire, reduce_op)
    if op == "mean":
        divide(wire, comm.size)
    if plain is None:
        _wire.reduced_into(data, wire)


def reduce_op_of(op: str, dtype: torch.dtype) -> torch_dist.ReduceOp.RedOpType:
    """Returns torch's reduce operation for an operation of `all_reduce`, such as ``'mean'``, and a tensor type.

    Raises:
        LauncherError: the operation does not exist.
        TypeError: the type does not support the operation: the mean of booleans, or the minimum of complex numbers.
    """
    if op not in _OPS:
        nearest = difflib.get_close_matches(str(op), _OPS, 1)
        raise LauncherError(
            f"no reduction is called {op!r}; op takes {', '.join(_OPS)}"
            + (f"; did you mean {nearest[0]!r}?" if nearest else "")
        )
    if dtype.is_complex and op not in {"sum", "mean"}:
        raise TypeError(f"complex numbers can be reduced by 'sum' or 'mean', but got {op!r}")
    if dtype is not torch.bool:
        return _OPS[op]
    if op == "mean":
        raise TypeError("the mean of truth values is no truth value; convert data to a floating type first")
    return _BOOL_OPS[op]


def divide(data: Tensor, size: int) -> None:
    """Divides a tensor in place; integers are rounded towards zero, without a conversion to floats."""
    data.div_(size, rounding_mode=None if data.is_floating_point() else "trunc")


def all_gather(data: Tensor, group: ProcessGroup | None = None, *, uneven: bool = False) -> list[Tensor]:
    """Returns the tensors of all ranks, in the order of ranks.

    Args:
        data: a tensor of any shape, type and device.
        group: a process group; None for the group of all processes.
        uneven: whether shapes may differ between ranks, including the number of dimensions. This needs a second, small
            collective that exchanges the shapes; with False all shapes must be equal.

    Returns:
        One tensor per rank, on the device of `data`; ``[data]`` without a process group.

    Example:
        >>> all_gather(torch.tensor([1, 2]))
        [tensor([1, 2])]
    """
    comm = communicator(group)
    if comm.size <= 1:
        return comm.all_gather(data)
    if uneven:
        shapes = _all_shapes(data, comm)
        parts = comm.all_gather(_padded(data, shapes, comm))
        return [_cut(part, data, shape) for part, shape in zip(parts, shapes, strict=True)]
    plain = _wire.as_it_is(data, comm.device)
    if plain is not None:
        return comm.all_gather(plain)
    return [_wire.moved_back(part, data) for part in comm.all_gather(_wire.to_move(data, comm.device))]


def gather(
    data: Tensor, dst: int = 0, group: ProcessGroup | None = None, *, uneven: bool = False
) -> list[Tensor | None]:
    """Returns the tensors of all ranks on one rank.

    Args:
        data: a tensor of any shape, type and device.
        dst: global rank of the receiver.
        group: a process group; None for the group of all processes.
        uneven: whether shapes may differ between ranks, see `all_gather`.

    Returns:
        One tensor per rank on rank `dst`; an empty list on the other ranks; ``[data]`` without a process group.

    Raises:
        ValueError: rank `dst` is not in the group.

    Example:
        >>> gather(torch.tensor([1, 2]))
        [tensor([1, 2])]
    """
    comm = communicator(group)
    if comm.size <= 1:
        return [*comm.gather(data, dst)]
    check_member(dst, "dst", comm)
    if uneven:
        shapes = _all_shapes(data, comm)
        parts = comm.gather(_padded(data, shapes, comm), dst)
        return [_cut(part, data, shape) for part, shape in zip(parts, shapes, strict=bool(parts))]
    return [_wire.moved_back(part, data) for part in comm.gather(_wire.to_move(data, comm.device), dst)]


def broadcast(data: Tensor, src: int = 0, group: ProcessGroup | None = None) -> None:
    """Overwrites a tensor with the tensor of one rank.

    Args:
        data: a tensor of any shape, type and device, with the same shape and type on all ranks.
        src: global rank of the sender.
        group: a process group; None for the group of all processes.

    Raises:
        ValueError: rank `src` is not in the group.

    Example:
        >>> broadcast(torch.tensor([1, 2]))  # a single process changes nothing
    """
    comm = communicator(group)
    if comm.size <= 1:
        return
    check_member(src, "src", comm)
    plain = _wire.as_it_is(data, comm.device)
    if plain is not None:
        comm.broadcast(plain, src)
        return
    wire = _wire.to_move(data, comm.device)
    comm.broadcast(wire, src)
    typed = _wire.moved_back(wire, data)
    if typed.data_ptr() != data.data_ptr():
        data.detach().copy_(typed)


def barrier(group: ProcessGroup | None = None) -> None:
    """Waits until all ranks of the group have called this function.

    Example:
        >>> barrier()  # a single process does not wait
    """
    communicator(group).barrier()


def check_member(rank: int, name: str, comm: Communicator) -> None:
    """Checks that a global rank is a member of the group.

    Args:
        rank: the global rank.
        name: name of the argument that contains the rank, for the message.
        comm: communicator of the group.

    Raises:
        ValueError: the rank is not in the group.
    """
    if rank not in comm.ranks:
        raise ValueError(f"{name} should be a rank of the group, one of {list(comm.ranks)}, but got {rank}")


def _all_shapes(data: Tensor, comm: Communicator) -> list[torch.Size]:
    """Returns the shapes of the tensors of all ranks, in the order of ranks.

    Each rank sends its number of dimensions and its sizes as a row of fixed length, padded with -1, so that one
    all_gather exchanges all shapes.

    Raises:
        ValueError: the tensor has more than eight dimensions.
    """
    if data.dim() > _MAX_DIMS:
        raise ValueError(f"uneven tensors may have up to {_MAX_DIMS} dimensions, but got {data.dim()}")
    row = torch.full((1 + _MAX_DIMS,), -1, dtype=torch.int64)
    row[0] = data.dim()
    row[1 : 1 + data.dim()] = torch.tensor(data.shape, dtype=torch.int64)
    rows = [part.tolist() for part in comm.all_gather(row.to(comm.device))]
    return [torch.Size(values[1 : 1 + values[0]]) for values in rows]


def _padded(data: Tensor, shapes: list[torch.Size], comm: Communicator) -> Tensor:
    flat = _wire.as_bytes(data.detach().to(comm.device).contiguous())
    longest = max(shape.numel() for shape in shapes) * data.element_size()
    wire = flat.new_zeros(longest)
    wire[: flat.numel()] = flat
    return wire


def _cut(part: Tensor, example: Tensor, shape: torch.Size) -> Tensor:
    used = part[: shape.numel() * example.element_size()]
    return _wire.from_bytes(used, example.dtype).reshape(shape).to(example.device)


_MAX_DIMS = 8
