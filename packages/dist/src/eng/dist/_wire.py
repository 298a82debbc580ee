"""Converts tensors to the form that backends require: contiguous, on the backend's device, in a supported type."""

from __future__ import annotations

import torch
from torch import Tensor

# Tensor types that every communication backend supports. Tensors of other types are sent as bytes, or converted to a
# wider type before they are reduced.
_NATIVE = {
    torch.uint8,
    torch.int8,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
}
_WIDER = {
    torch.bool: torch.uint8,
    torch.int16: torch.int32,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.float8_e4m3fn: torch.float32,
    torch.float8_e5m2: torch.float32,
}


def as_it_is(data: Tensor, device: torch.device) -> Tensor | None:
    """Returns `data`, detached from autograd but not copied, if the backend can send it unchanged, otherwise None.

    The backend can do so, which is the usual case, if `data` is contiguous, on `device` and of a supported type.
    """
    if data.dtype in _NATIVE and data.device == device and data.is_contiguous():
        return data.detach() if data.requires_grad else data
    return None


def to_move(data: Tensor, device: torch.device) -> Tensor:
    """Returns a tensor that the backend can send: `data` itself if possible, otherwise a contiguous copy on `device`.

    A tensor whose type the backend does not support is returned as a tensor of its bytes.
    """
    wire = data.detach().to(device).contiguous()
    return wire if wire.dtype in _NATIVE else as_bytes(wire)


def moved_back(wire: Tensor, example: Tensor, shape: torch.Size | None = None) -> Tensor:
    """Converts a received tensor `wire` to the type and device of `example`, and to its shape unless `shape` is set."""
    typed = wire if wire.dtype == example.dtype else from_bytes(wire, example.dtype)
    return typed.reshape(example.shape if shape is None else shape).to(example.device)


def to_reduce(data: Tensor, device: torch.device) -> Tensor:
    """Returns a tensor that the backend can reduce in place: `data` itself if possible, otherwise a copy on `device`.

    A tensor whose type the backend does not support is copied to a wider type, and a complex one is viewed as reals.
    """
    wire = data.detach()
    if wire.dtype not in _NATIVE:
        wire = torch.view_as_real(wire) if wire.is_complex() else wire.to(_WIDER.get(wire.dtype, torch.float32))
    return wire.to(device).contiguous()


def reduced_into(data: Tensor, wire: Tensor) -> None:
    """Copies `wire`, the tensor that the backend reduced, into `data`, unless both share the same memory."""
    if data.is_complex():
        wire = torch.view_as_complex(wire)
    if wire.data_ptr() != data.data_ptr() or wire.dtype != data.dtype or wire.device != data.device:
        data.detach().copy_(wire)


def as_bytes(data: Tensor) -> Tensor:
    """Returns a contiguous tensor as (n,) uint8 tensor of its bytes, without a copy."""
    return data.reshape(-1).view(torch.uint8)


def from_bytes(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns a tensor of bytes as a flat tensor of another type, without a copy; the inverse of `as_bytes`."""
    return data.reshape(-1).view(dtype)
