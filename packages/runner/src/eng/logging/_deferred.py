"""Reading many logged values from their devices at once.

A value that lives on an accelerator costs a synchronisation to read. Whoever logs hands over the tensor as it is; what
is read later is read in one transfer per device, however many values there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import numpy as np
import torch

Entry: TypeAlias = "int | float | torch.Tensor | np.ndarray"
"""A logged value, or a chunk of consecutive ones as a 1-D tensor or array."""


def fetch(series: Sequence[Sequence[Entry]]) -> list[np.ndarray]:
    """Values of several series as host arrays, with one transfer per device.

    Args:
        series: each a list of numbers, one-element tensors and 1-D chunks, oldest first.

    Returns:
        One 1-D array per series; float64 but where all its entries are Python integers.
    """
    parts: list[list[np.ndarray | None]] = []
    waiting: dict[torch.device, list[tuple[int, int, torch.Tensor]]] = defaultdict(list)
    for row, entries in enumerate(series):
        parts.append([])
        alike = _stacked(entries)
        if alike is not None:
            waiting[alike.device].append((row, 0, alike))
            parts[row].append(None)
            continue
        for is_tensor, run in groupby(entries, key=lambda entry: isinstance(entry, torch.Tensor)):
            if not is_tensor:
                parts[row].append(_host_values(list(run)))  # type: ignore[arg-type]  # the groups are homogeneous
                continue
            for device, tensors in groupby(run, key=lambda entry: entry.device):  # type: ignore[union-attr]  # tensors
                waiting[device].append((row, len(parts[row]), _packed(list(tensors))))  # type: ignore[arg-type]
                parts[row].append(None)
    for group in waiting.values():
        _transfer(group, parts)
    return [_joined([part for part in row if part is not None]) for row in parts]


def stack_on_device(entries: Sequence[Entry]) -> list[Entry]:
    """The same values in fewer objects: runs of tensors of one device become one chunk, without synchronising."""
    try:
        return [torch.stack(entries)]  # type: ignore[arg-type]  # fails at once where they are not all alike
    except (TypeError, RuntimeError):
        groups = groupby(entries, key=lambda entry: entry.device if isinstance(entry, torch.Tensor) else None)
    return [_host_values(list(run)) if device is None else _packed(list(run)) for device, run in groups]  # type: ignore[arg-type]  # the groups are homogeneous


def _stacked(entries: Sequence[Entry]) -> torch.Tensor | None:
    """The usual series, scalars of one type on one device, in one call; None for another."""
    try:
        stacked = torch.stack(entries)  # type: ignore[arg-type]  # fails at once where they are not all tensors
    except (TypeError, RuntimeError):
        return None
    return stacked if stacked.dim() == 1 else None


def _packed(tensors: list[torch.Tensor]) -> torch.Tensor:
    """One 1-D tensor; the usual case, scalars of one type, takes one call into torch."""
    try:
        return torch.stack(tensors) if tensors[0].dim() == 0 else torch.cat([tensor.reshape(-1) for tensor in tensors])
    except RuntimeError:  # scalars beside one-element vectors or chunks
        return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _transfer(group: list[tuple[int, int, torch.Tensor]], parts: list[list[np.ndarray | None]]) -> None:
    flat = group[0][2] if len(group) == 1 else torch.cat([tensor for _, _, tensor in group])
    host = flat.cpu().double().numpy()  # after the transfer: Metal has no float64, and it would be twice as much
    position = 0
    for row, column, tensor in group:
        parts[row][column] = host[position : position + tensor.numel()]
        position += tensor.numel()


def _host_values(values: Sequence[int | float | np.ndarray]) -> np.ndarray:
    if any(isinstance(value, np.ndarray) for value in values):
        return np.concatenate([np.atleast_1d(value) for value in values])
    return np.array(values)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if not parts:
        return np.empty(0)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
