"""Functions on devices that work for every vendor: names, memory, random generators, streams and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from eng.device._table import row_of, rows

__all__ = [
    "current_device",
    "current_stream",
    "device_count",
    "device_name",
    "empty_cache",
    "get_rng_states",
    "memory_allocated",
    "memory_info",
    "memory_reserved",
    "new_stream",
    "peak_memory",
    "peak_memory_reserved",
    "pins_memory",
    "record_event",
    "reset_peak_memory",
    "set_rng_states",
    "synchronize",
    "use_stream",
]

Device = torch.device | str | int | None


def current_device() -> torch.device:
    """Returns the current device of this process with its index, such as ``cuda:1``; the CPU without an accelerator."""
    row = row_of(None)
    return torch.device("cpu") if row.name == "cpu" else torch.device(row.name, row.current_index())


def device_count() -> int:
    """Returns the number of accelerators that are visible to this process; 0 if there are none."""
    return row_of(None).count()


def device_name(device: Device = None) -> str:
    """Returns the product name of a device, such as ``'NVIDIA H100 80GB HBM3'``; the device type if torch has no name.

    Args:
        device: a device, or an index of the accelerator; None for the current device.
    """
    return row_of(device).device_name(_index(device))


def synchronize(device: Device = None) -> None:
    """Waits until a device has finished all submitted work; returns immediately on the CPU."""
    row_of(device).synchronize(_index(device))


def empty_cache(device: Device = None) -> None:
    """Gives memory that torch's allocator caches on a device, and that no tensor uses, back to the driver.

    If this process has not used the device, nothing happens.
    """
    row = row_of(device)
    if row.is_in_use():
        row.empty_cache()


def memory_info(device: Device = None) -> tuple[int, int] | None:
    """Returns free and total memory of a device in bytes; None if the device does not report them, such as the CPU."""
    return row_of(device).memory_info(_index(device))


def memory_allocated(device: Device = None) -> int | None:
    """Returns the bytes that tensors currently use on a device; None if the device does not report them."""
    return row_of(device).allocated_memory(_index(device))


def memory_reserved(device: Device = None) -> int | None:
    """Returns the bytes that torch's allocator holds on a device, for tensors or as cache; None if not reported."""
    return row_of(device).reserved_memory(_index(device))


def peak_memory(device: Device = None) -> int | None:
    """Returns the most bytes that tensors used on a device since the last call of `reset_peak_memory`.

    The result is None if the device does not report a peak, as MPS and the CPU do not.
    """
    return row_of(device).peak_memory(_index(device))


def peak_memory_reserved(device: Device = None) -> int | None:
    """Returns the most bytes that torch's allocator held on a device since the last call of `reset_peak_memory`.

    The result is None if the device does not report a peak.
    """
    return row_of(device).peak_reserved_memory(_index(device))


def reset_peak_memory(device: Device = None) -> None:
    """Resets the peaks that `peak_memory` and `peak_memory_reserved` return."""
    row_of(device).reset_peak_memory(_index(device))


def pins_memory(device: Device = None) -> bool:
    """Whether pinned host memory lets copies from and to the device overlap with computation."""
    return row_of(device).pins_memory()


def get_rng_states() -> dict[str, torch.Tensor]:
    """Returns the state of the random generator of each accelerator that this process uses, by device type.

    The dictionary is empty if the process uses no accelerator.
    """
    states = {row.name: row.rng_state() for row in rows() if row.is_in_use()}
    return {name: state for name, state in states.items() if state is not None}


def set_rng_states(states: dict[str, torch.Tensor]) -> None:
    """Sets the random generators of the accelerators to the states that `get_rng_states` returned.

    States of accelerators that this machine lacks are ignored.
    """
    for row in rows():
        if row.name in states and row.is_available():
            row.set_rng_state(states[row.name])


def new_stream(device: Device = None) -> Any:
    """Creates a stream (queue of device work) that can run concurrently with other streams; returns None on the CPU."""
    where = _device(device)
    return None if where.type == "cpu" else torch.Stream(device=where)


def current_stream(device: Device = None) -> Any:
    """Returns the stream to which operators on a device currently submit their work; None on the CPU."""
    where = _device(device)
    return None if where.type == "cpu" else torch.accelerator.current_stream(where)


@contextmanager
def use_stream(stream: Any) -> Iterator[None]:
    """Makes a stream from `new_stream` the current one inside the ``with`` block; None (on the CPU) changes nothing."""
    if stream is None:
        yield
        return
    before = torch.accelerator.current_stream(stream.device)
    torch.accelerator.set_stream(stream)
    try:
        yield
    finally:
        torch.accelerator.set_stream(before)


def record_event(device: Device = None) -> Any:
    """Records an event on the current stream of a device, to find out when the work submitted so far is finished.

    Returns:
        The event, whose ``synchronize()`` waits for that work and whose ``query()`` says whether the work is finished;
        None on the CPU.
    """
    where = _device(device)
    if where.type == "cpu":
        return None
    event = torch.Event(device=where)
    event.record(torch.accelerator.current_stream(where))
    return event


def _device(device: Device) -> torch.device:
    """Returns a device with an index; an argument without an index gets the index of the current device."""
    if device is None:
        return current_device()
    if isinstance(device, int):
        row = row_of(None)
        return torch.device("cpu") if row.name == "cpu" else torch.device(row.name, device)
    device = torch.device(device)
    if device.index is None and device.type != "cpu":
        return torch.device(device.type, row_of(device).current_index())
    return device


def _index(device: Device) -> int | None:
    if device is None or isinstance(device, int):
        return device
    if isinstance(device, torch.device):
        return device.index
    index = device.partition(":")[2]
    return int(index) if index else None
