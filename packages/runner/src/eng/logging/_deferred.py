"""Reads many logged tensors from their devices in one transfer.

Reading a value from an accelerator makes the program wait for the device. Logging therefore stores the tensors, and when
values are needed, all stored tensors are read in one transfer per device.
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
    """Reads the values of several histories into numpy arrays on the host, with one transfer per device.

    Args:
        series: a list per history, oldest value first, with numbers, one-element tensors and 1-D tensors or arrays.

    Returns:
        One 1-D array per series: integers if all its entries are Python integers, otherwise float64.
    """
    parts: list[list[np.ndarray | None]] = []
    waiting: dict[torch.device, list[tuple[int, int, torch.Tensor]]] = defaultdict(list)
    for row, entries in enumerate(series):
        parts.append([])
        stacked = _stack_scalars(entries)
        if stacked is not None:
            waiting[stacked.device].append((row, 0, stacked))
            parts[row].append(None)
            continue
        for is_tensor, run in groupby(entries, key=lambda entry: isinstance(entry, torch.Tensor)):
            if not is_tensor:
                parts[row].append(_host_values(list(run)))  # type: ignore[arg-type]  # the groups are homogeneous
                continue
            for device, tensors in groupby(run, key=lambda entry: entry.device):  # type: ignore[union-attr]  # tensors
                waiting[device].append((row, len(parts[row]), _concatenate(list(tensors))))  # type: ignore[arg-type]
                parts[row].append(None)
    for group in waiting.values():
        _transfer(group, parts)
    return [_join([part for part in row if part is not None]) for row in parts]


def stack_on_device(entries: Sequence[Entry]) -> list[Entry]:
    """Joins consecutive tensors of a device to one 1-D tensor, and consecutive numbers to one array.

    The function does not wait for the device.
    """
    try:
        return [torch.stack(entries)]  # type: ignore[arg-type]  # Raises if the entries are not tensors of one shape.
    except (TypeError, RuntimeError):
        groups = groupby(entries, key=_device_of)
    chunks: list[Entry] = []
    for device, run in groups:
        if device is None:
            chunks.append(_host_values(list(run)))  # type: ignore[arg-type]  # The groups are homogeneous.
        else:
            chunks.append(_concatenate(list(run)))  # type: ignore[arg-type]  # The groups are homogeneous.
    return chunks


def _device_of(entry: Entry) -> torch.device | None:
    """Returns the device of a tensor; None for numbers and arrays."""
    if isinstance(entry, torch.Tensor):
        return entry.device
    return None


def _stack_scalars(entries: Sequence[Entry]) -> torch.Tensor | None:
    """Stacks a series of scalar tensors of one type and device, the usual case, in one call; None for other series."""
    try:
        stacked = torch.stack(entries)  # type: ignore[arg-type]  # Raises if the entries are not tensors of one shape.
    except (TypeError, RuntimeError):
        return None
    if stacked.dim() != 1:
        return None
    return stacked


def _concatenate(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Concatenates tensors of one device to a 1-D tensor; scalars of one type, the usual case, are stacked in one call."""
    if tensors[0].dim() == 0:
        try:
            return torch.stack(tensors)
        except RuntimeError:
            # `torch.stack` rejects a list in which some tensors are scalars and some are 1-D; all are flattened below.
            pass
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _transfer(group: list[tuple[int, int, torch.Tensor]], parts: list[list[np.ndarray | None]]) -> None:
    """Reads the tensors of one device in one transfer.

    ``group`` contains (row, column, tensor); the values of a tensor are written into ``parts[row][column]``.
    """
    flat = group[0][2]
    if len(group) > 1:
        flat = torch.cat([tensor for _, _, tensor in group])
    # The conversion to float64 follows the transfer: Apple's Metal has no float64, and fewer bytes are transferred.
    host = flat.cpu().double().numpy()
    position = 0
    for row, column, tensor in group:
        parts[row][column] = host[position : position + tensor.numel()]
        position += tensor.numel()


def _host_values(values: Sequence[int | float | np.ndarray]) -> np.ndarray:
    if any(isinstance(value, np.ndarray) for value in values):
        return np.concatenate([np.atleast_1d(value) for value in values])
    return np.array(values)


def _join(parts: list[np.ndarray]) -> np.ndarray:
    if not parts:
        return np.empty(0)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts)
