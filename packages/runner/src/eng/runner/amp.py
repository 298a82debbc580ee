"""Automatic mixed precision on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from eng.device import get_device


@contextmanager
def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> Iterator[None]:
    """``torch.autocast`` with defaults that suit the device.

    Args:
        device_type: ``"cpu"``, ``"cuda"`` and so on; None (default) is the device that this process uses.
        dtype: half type; None (default) is bfloat16 on a CPU and float16 elsewhere.
        enabled: False switches an autocast around this one off, so that operators keep the type of their inputs.
        cache_enabled: whether casts of weights are kept within the context; None (default) is PyTorch's default.

    Example:
        >>> with autocast("cpu"):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """
    device_type = device_type or get_device()
    if dtype is None:
        if device_type == "cpu":
            dtype = torch.bfloat16
        else:
            dtype = torch.float16
    with torch.autocast(device_type, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled):
        yield
