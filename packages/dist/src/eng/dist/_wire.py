"""Tensors as backends want them: contiguous, on their device, in a type they know."""

from __future__ import annotations

import torch
from torch import Tensor

# What every backend moves and reduces. Others travel as bytes, or are reduced in a wider type.
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
    """`data` itself (the same memory, without history) where it can be sent as it is, the usual case; else None."""
    if data.dtype in _NATIVE and data.device == device and data.is_contiguous():
        return data.detach() if data.requires_grad else data
    return None


def to_move(data: Tensor, device: torch.device) -> Tensor:
    """`data` ready to be sent: itself where nothing has to change, else a copy, as bytes for unusual types."""
    wire = data.detach().to(device).contiguous()
    return wire if wire.dtype in _NATIVE else as_bytes(wire)


def moved_back(wire: Tensor, example: Tensor, shape: torch.Size | None = None) -> Tensor:
    """What came over the wire, with the type and device of `example`, and its shape unless `shape` is given."""
    typed = wire if wire.dtype == example.dtype else from_bytes(wire, example.dtype)
    return typed.reshape(example.shape if shape is None else shape).to(example.device)


def to_reduce(data: Tensor, device: torch.device) -> Tensor:
    """`data` ready to be reduced in place: itself where nothing has to change, else a copy in a wider type."""
    wire = data.detach()
    if wire.dtype not in _NATIVE:
        wire = torch.view_as_real(wire) if wire.is_complex() else wire.to(_WIDER.get(wire.dtype, torch.float32))
    return wire.to(device).contiguous()


def reduced_into(data: Tensor, wire: Tensor) -> None:
    """Writes the reduced `wire` into `data`; nothing to do where it is the same memory."""
    if data.is_complex():
        wire = torch.view_as_complex(wire)
    if wire.data_ptr() != data.data_ptr() or wire.dtype != data.dtype or wire.device != data.device:
        data.detach().copy_(wire)


def as_bytes(data: Tensor) -> Tensor:
    """The bytes of a contiguous tensor, (n,) uint8, without a copy."""
    return data.reshape(-1).view(torch.uint8)


def from_bytes(data: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of `as_bytes`, flat."""
    return data.reshape(-1).view(dtype)
