"""Reduces many tensors in few collectives, by joining them to flat tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from eng.dist._agreement import CheckedCommunicator
from eng.dist._communicators import communicator
from eng.dist._tensors import all_reduce, reduce_op_of
from eng.dist.errors import ContainerTypeError

_LOW_BITS = 32
_LOW_MASK = (1 << _LOW_BITS) - 1
_BYTES_PER_MB = 1024 * 1024


def all_reduce_dict(data: dict[str, Tensor], op: str = "sum", group: ProcessGroup | None = None) -> None:
    """Reduces all tensors of a dictionary over the ranks, in place and in one collective.

    All tensors are joined into one flat tensor: floats are converted to the widest float type in the dictionary, and
    each integer is split into two float64 numbers, which is exact. Two collectives are needed only if `op` is neither
    sum nor mean and the dictionary contains both floats and integers.

    Args:
        data: tensors by name. Names, shapes and types must be equal on all ranks; the order may differ.
        op: the operation, see `all_reduce`.
        group: a process group; None for the group of all processes.

    Raises:
        TypeError: `data` is not a dictionary, or a value is not a tensor; the message names its key.
        LauncherError: the operation does not exist.

    Example:
        >>> data = {'loss': torch.tensor(1.5), 'count': torch.tensor(3)}
        >>> all_reduce_dict(data, op='mean')  # a single process changes nothing
        >>> data
        {'loss': tensor(1.5000), 'count': tensor(3)}
    """
    _check_dict(data, op)
    comm = communicator(group)
    if comm.size <= 1:
        return
    if isinstance(comm, CheckedCommunicator):
        comm.agree_on_parts((f"{key!r}: ", data[key]) for key in sorted(data))
    if not data:
        return
    tensors = [data[key] for key in sorted(data)]
    integers = [value for value in tensors if not _is_fractional(value)]
    fractional = [value for value in tensors if _is_fractional(value)]
    if integers and fractional and op in {"sum", "mean"}:
        _reduce_mixed(fractional, integers, op, comm.device, comm.size, group)
        return
    for values, dtype in ((fractional, _widest(fractional)), (integers, torch.int64)):
        if values:
            _reduce_together(values, dtype, comm.device, lambda flat: all_reduce(flat, op, group))


def all_reduce_params(
    params: Iterable[Tensor],
    coalesce: bool = True,
    bucket_size_mb: int = -1,
    op: str = "sum",
    group: ProcessGroup | None = None,
) -> None:
    """Reduces parameters or buffers over the ranks, in place.

    Args:
        params: tensors, in the same order on all ranks.
        coalesce: whether to join tensors into few large tensors, each reduced by one collective; False uses one
            collective per tensor.
        bucket_size_mb: largest size of a joined tensor in megabytes; -1 joins all tensors of the same type.
        op: the operation, see `all_reduce`.
        group: a process group; None for the group of all processes.

    Example:
        >>> all_reduce_params([torch.ones(2), torch.zeros(3)], op='mean')  # a single process changes nothing
    """
    comm = communicator(group)
    if comm.size <= 1:
        return
    tensors = [param.detach() for param in params]
    if not coalesce:
        for tensor in tensors:
            all_reduce(tensor, op, group)
        return
    if isinstance(comm, CheckedCommunicator):
        comm.agree_on_parts(("", tensor) for tensor in tensors)
    for bucket in _buckets(tensors, bucket_size_mb):
        _reduce_together(bucket, bucket[0].dtype, bucket[0].device, lambda flat: all_reduce(flat, op, group))


def _check_dict(data: dict[str, Tensor], op: str) -> None:
    if not isinstance(data, dict):
        raise ContainerTypeError(f"data should be a dictionary of tensors, but got {type(data).__name__}")
    for key, value in data.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"data[{key!r}] should be a tensor, but got {type(value).__name__}")
        reduce_op_of(op, value.dtype)


def _is_fractional(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _widest(values: list[Tensor]) -> torch.dtype:
    """Returns the narrowest float or complex type that represents the values of all tensors; at least 16 bits wide."""
    dtype = torch.float16 if values and values[0].dtype is torch.float16 else torch.bfloat16
    for value in values:
        dtype = torch.promote_types(dtype, value.dtype)
    return dtype


def _reduce_together(
    values: list[Tensor], dtype: torch.dtype, device: torch.device, reduce: Callable[[Tensor], None]
) -> None:
    """Joins tensors into one flat tensor of type `dtype` on `device`, calls `reduce`, and copies the result back."""
    flat = torch.cat([value.detach().reshape(-1).to(device, dtype) for value in values])
    reduce(flat)
    _scatter(flat, values)


def _reduce_mixed(
    fractional: list[Tensor],
    integers: list[Tensor],
    op: str,
    device: torch.device,
    size: int,
    group: ProcessGroup | None,
) -> None:
    """Reduces floats and integers over the ranks in one collective, in place, for the operations sum and mean.

    Integers are sent in the same float64 tensor as the floats. float64 represents integers only below 2**53 exactly, so
    each int64 is split into two 32-bit halves, whose sums stay below 2**53 for up to two million ranks.

    Args:
        fractional: tensors of floats or complex numbers, at least one.
        integers: tensors of integers or booleans, at least one.
        op: ``"sum"`` or ``"mean"``; the mean of integers is rounded towards zero.
        device: device on which the backend communicates.
        size: number of ranks in the group.
        group: the process group; None for the group of all processes.
    """
    wide = torch.promote_types(_widest(fractional), torch.float64)
    numbers = torch.cat([value.detach().reshape(-1).to(device, torch.int64) for value in integers])
    parts = [value.detach().reshape(-1).to(device, wide) for value in fractional]
    halves = [(numbers >> _LOW_BITS).to(wide), (numbers & _LOW_MASK).to(wide)]
    flat = torch.cat([*parts, *halves])
    all_reduce(flat, "sum", group)
    count = numbers.numel()
    floats, high, low = flat.split([flat.numel() - 2 * count, count, count])
    total = (_real(high).to(torch.int64) << _LOW_BITS) + _real(low).to(torch.int64)
    if op == "mean":
        floats, total = floats / size, total.div(size, rounding_mode="trunc")
    _scatter(floats, fractional)
    _scatter(total, integers)


def _real(values: Tensor) -> Tensor:
    return values.real if values.is_complex() else values


def _scatter(flat: Tensor, values: list[Tensor]) -> None:
    for part, value in zip(flat.split([value.numel() for value in values]), values, strict=True):
        value.detach().copy_(part.reshape(value.shape))


def _buckets(tensors: list[Tensor], bucket_size_mb: int) -> Iterator[list[Tensor]]:
    """Divides tensors into lists of equal type and device, each at most `bucket_size_mb` large if that is above 0."""
    limit = bucket_size_mb * _BYTES_PER_MB if bucket_size_mb > 0 else float("inf")
    buckets: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    sizes: dict[tuple[torch.dtype, torch.device], int] = {}
    for tensor in tensors:
        key, size = (tensor.dtype, tensor.device), tensor.numel() * tensor.element_size()
        if buckets.get(key) and sizes[key] + size > limit:
            yield buckets.pop(key)
        sizes[key] = size + (sizes[key] if buckets.get(key) else 0)
        buckets.setdefault(key, []).append(tensor)
    yield from buckets.values()
