"""Moves nested data, such as a dict of tensors, to another device, and finds the device it is on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from eng.dist._communicators import communicator
from eng.dist.errors import CastError

Nested = Tensor | Mapping[Any, Any] | Iterable[Any]


def get_data_device(data: Nested) -> torch.device:
    """Returns the device that all tensors in `data` are on.

    Args:
        data: a tensor, or tensors in mappings and sequences, nested to any depth.

    Raises:
        ValueError: `data` contains no tensor, or tensors on different devices.
        TypeError: `data` contains a value that is not a tensor.

    Example:
        >>> get_data_device([torch.ones(2), {'a': torch.ones(1)}])
        device(type='cpu')
    """
    if isinstance(data, Tensor):
        return data.device
    parts = _parts(data, "data")
    devices = {get_data_device(part) for part in parts}
    if len(devices) != 1:
        names = ", ".join(sorted(map(str, devices))) or "no tensor at all"
        raise ValueError(f"data should be on one device, but got {names}")
    return devices.pop()


def get_comm_device(group: ProcessGroup | None = None) -> torch.device:
    """Returns the device on which the group's backend communicates: CPU for gloo and mpi, the GPU for nccl.

    Example:
        >>> get_comm_device()
        device(type='cpu')
    """
    return communicator(group).device


def cast_data_device(data: Nested, device: torch.device, out: Nested | None = None) -> Nested:
    """Moves all tensors in `data` to a device; containers keep their types.

    Args:
        data: a tensor, or tensors in mappings and sequences, nested to any depth.
        device: the target device.
        out: data of the same structure into which the tensors are copied; None creates new tensors if necessary.

    Returns:
        The moved data in new containers; their tensors are those of `out` if it is set.

    Raises:
        CastError: `out` has another type, length or keys than `data`, or `data` contains a value that is not a tensor.

    Example:
        >>> cast_data_device({'a': torch.ones(1)}, torch.device('cpu'))
        {'a': tensor([1.])}
    """
    if out is not None:
        _check_pair(data, out)
    if isinstance(data, Tensor):
        moved = data.to(device)
        return moved if out is None else _filled(out, moved)
    if isinstance(data, Mapping):
        targets: dict[Any, Any] = dict(out) if isinstance(out, Mapping) else {}
        return _same_container(
            data, {key: cast_data_device(part, device, targets.get(key)) for key, part in data.items()}
        )
    parts = list(_parts(data, "data"))
    outs = [None] * len(parts) if out is None else list(_parts(out, "out"))
    return _same_container(
        data, [cast_data_device(part, device, target) for part, target in zip(parts, outs, strict=True)]
    )


def _filled(out: Any, moved: Tensor) -> Tensor:
    filled: Tensor = out.copy_(moved)
    return filled


def _same_container(data: Nested, values: Any) -> Nested:
    container: Any = type(data)
    # The constructor of a named tuple takes one argument per field; that of any other container takes one iterable.
    filled: Nested = container(*values) if hasattr(data, "_fields") else container(values)
    return filled


def _parts(data: Any, name: str) -> list[Any]:
    if isinstance(data, Mapping):
        return list(data.values())
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return list(data)
    raise CastError(f"{name} should be a tensor, or a mapping or sequence of tensors, but got {type(data).__name__}")


def _check_pair(data: Any, out: Any) -> None:
    """Checks that `out` can take the values of `data`: two tensors, or containers of equal type, length and keys.

    Raises:
        CastError: the check fails.
    """
    if isinstance(data, Tensor) and isinstance(out, Tensor):
        return
    if type(data) is not type(out):
        raise CastError(f"out should have the type of data, {type(data).__name__}, but is {type(out).__name__}")
    if len(data) != len(out):
        raise CastError(f"out needs an item for each of data: {len(data)}, but has {len(out)}")
    if isinstance(data, Mapping) and set(data) != set(out):
        raise CastError(f"data and out should have the same keys, but got {list(data)} and {list(out)}")
