"""What training code asks of a device, whichever vendor made it: names, memory, generators, streams and events."""

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
    """The device that this process works on, with its index, such as ``cuda:1``; the CPU where there is no accelerator."""
    row = row_of(None)
    return torch.device("cpu") if row.name == "cpu" else torch.device(row.name, row.current_index())


def device_count() -> int:
    """How many accelerators this process sees; 0 with a CPU only."""
    return row_of(None).count()


def device_name(device: Device = None) -> str:
    """Name of the product, such as ``'NVIDIA H100 80GB HBM3'``; the vendor's short name where torch does not know it.

    Args:
        device: a device, or an index of the accelerator; None is the current one.
    """
    return row_of(device).device_name(_index(device))


def synchronize(device: Device = None) -> None:
    """Returns when a device has done all work that it was given; at once on the CPU."""
    row_of(device).synchronize(_index(device))


def empty_cache(device: Device = None) -> None:
    """Gives memory back that an allocator keeps and no tensor uses; nothing happens where no device was used."""
    row = row_of(device)
    if row.is_in_use():
        row.empty_cache()


def memory_info(device: Device = None) -> tuple[int, int] | None:
    """Free and total bytes of a device; None where it does not count them, as on the CPU."""
    return row_of(device).memory_info(_index(device))


def memory_allocated(device: Device = None) -> int | None:
    """Bytes that tensors hold on a device now; None where it does not count them."""
    return row_of(device).allocated_memory(_index(device))


def memory_reserved(device: Device = None) -> int | None:
    """Bytes that a device's allocator holds now, in use or not; None where it does not count them."""
    return row_of(device).reserved_memory(_index(device))


def peak_memory(device: Device = None) -> int | None:
    """Most bytes that tensors held since `reset_peak_memory`; None where the device counts no peak, as MPS and the CPU."""
    return row_of(device).peak_memory(_index(device))


def peak_memory_reserved(device: Device = None) -> int | None:
    """Most bytes that the allocator held since `reset_peak_memory`; None where the device counts no peak."""
    return row_of(device).peak_reserved_memory(_index(device))


def reset_peak_memory(device: Device = None) -> None:
    """Begins a new period for `peak_memory` and `peak_memory_reserved`."""
    row_of(device).reset_peak_memory(_index(device))


def pins_memory(device: Device = None) -> bool:
    """Whether copies from and to a device run beside computation where the host's memory is pinned."""
    return row_of(device).pins_memory()


def get_rng_states() -> dict[str, torch.Tensor]:
    """State of the random generator of each accelerator in use, by device type; empty where none is."""
    states = {row.name: row.rng_state() for row in rows() if row.is_in_use()}
    return {name: state for name, state in states.items() if state is not None}


def set_rng_states(states: dict[str, torch.Tensor]) -> None:
    """Puts generators back where `get_rng_states` read them; those of accelerators that are not here are left out."""
    for row in rows():
        if row.name in states and row.is_available():
            row.set_rng_state(states[row.name])


def new_stream(device: Device = None) -> Any:
    """A stream of a device, whose work runs beside that of its other streams; None on the CPU, which has none."""
    where = _device(device)
    return None if where.type == "cpu" else torch.Stream(device=where)


def current_stream(device: Device = None) -> Any:
    """The stream that takes a device's work now; None on the CPU."""
    where = _device(device)
    return None if where.type == "cpu" else torch.accelerator.current_stream(where)


@contextmanager
def use_stream(stream: Any) -> Iterator[None]:
    """Within the block, work goes to a stream of `new_stream`; None, as on the CPU, changes nothing."""
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
    """An event behind all work that a device's current stream was given so far.

    Returns:
        An event with ``synchronize()``, which waits for that work, and ``query()``; None on the CPU.
    """
    where = _device(device)
    if where.type == "cpu":
        return None
    event = torch.Event(device=where)
    event.record(torch.accelerator.current_stream(where))
    return event


def _device(device: Device) -> torch.device:
    """The device with its index."""
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
