"""The table of supported accelerators; a row adds the accelerator of another vendor."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["ACCELERATORS", "CPU", "Accelerator", "accelerator", "current_accelerator", "row_of", "rows"]


@dataclass(frozen=True)
class Accelerator:
    """A type of accelerator in PyTorch, such as ``cuda`` or ``npu``.

    The methods call the functions of the module ``torch.<name>``, which vendors name as in ``torch.cuda``. If a vendor
    lacks a function, the method returns None or does nothing. A device index of None stands for the current device.

    Args:
        name: device type, and the name of its module in ``torch``.
        backend: communication backend of the vendor; None if the device has none.
        plugin: package that must be imported to add the device to torch; None if torch includes it.
    """

    name: str
    backend: str | None = None
    plugin: str | None = None

    def module(self) -> Any:
        """Imports the vendor's plugin and returns the module ``torch.<name>``; None if plugin or module does not exist."""
        if self.plugin is not None:
            if importlib.util.find_spec(self.plugin) is None:
                return None
            importlib.import_module(self.plugin)
        return getattr(torch, self.name, None)

    def is_available(self) -> bool:
        """Whether this process can use a device of this type."""
        return bool(self._ask("is_available"))

    def is_in_use(self) -> bool:
        """Whether this process has already used a device of this type; the vendor's plugin is not imported to find out."""
        if self.plugin is not None and self.plugin not in sys.modules:
            return False
        return self.is_available() and self._ask("is_initialized") is not False

    def count(self) -> int:
        """Returns the number of devices of this type that are visible to this process."""
        return int(self._ask("device_count") or 0)

    def current_index(self) -> int:
        """Returns the index of the current device."""
        return int(self._ask("current_device") or 0)

    def set_current(self, index: int) -> None:
        """Makes the device with this index the current one."""
        self._ask("set_device", index)

    def device_name(self, index: int | None = None) -> str:
        """Returns the product name of a device, such as ``'NVIDIA H100 80GB HBM3'``."""
        return str(self._ask("get_device_name", index) or self.name)

    def synchronize(self, index: int | None = None) -> None:
        """Waits until a device has finished all submitted work."""
        self._ask("synchronize", index)

    def empty_cache(self) -> None:
        """Gives memory that torch's allocator caches, and that no tensor uses, back to the driver."""
        self._ask("empty_cache")

    def memory_info(self, index: int | None = None) -> tuple[int, int] | None:
        """Returns free and total memory of a device in bytes."""
        answer = self._ask("mem_get_info", index)
        return None if answer is None else (int(answer[0]), int(answer[1]))

    def allocated_memory(self, index: int | None = None) -> int | None:
        """Returns the bytes that tensors currently use on a device."""
        return _integer(self._ask("memory_allocated", index))

    def reserved_memory(self, index: int | None = None) -> int | None:
        """Returns the bytes that torch's allocator currently holds on a device, for tensors or as cache."""
        return _integer(self._ask("memory_reserved", index))

    def peak_memory(self, index: int | None = None) -> int | None:
        """Returns the most bytes that tensors used since the last call of :meth:`reset_peak_memory`."""
        return _integer(self._ask("max_memory_allocated", index))

    def peak_reserved_memory(self, index: int | None = None) -> int | None:
        """Returns the most bytes that torch's allocator held since the last call of :meth:`reset_peak_memory`."""
        return _integer(self._ask("max_memory_reserved", index))

    def reset_peak_memory(self, index: int | None = None) -> None:
        """Resets the memory peaks of a device."""
        self._ask("reset_peak_memory_stats", index)

    def rng_state(self) -> torch.Tensor | None:
        """Returns the state of the current device's random generator."""
        state: torch.Tensor | None = self._ask("get_rng_state")
        return state

    def set_rng_state(self, state: torch.Tensor) -> None:
        """Sets the state of the current device's random generator."""
        self._ask("set_rng_state", state.cpu())

    def pins_memory(self) -> bool:
        """Whether pinned host memory lets copies from and to the device overlap with computation."""
        return True

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Calls the function with this name of the vendor's module (such as ``torch.cuda``) and returns its result.

        If the module or the function does not exist, None is returned.
        """
        call = getattr(self.module(), function, None)
        return call(*arguments) if callable(call) else None


@dataclass(frozen=True)
class _AppleGPU(Accelerator):
    """The GPU of Apple computers (MPS), which shares the host's memory and does not report memory peaks."""

    def is_available(self) -> bool:
        # `torch.mps` can be imported on every machine, so its backend is asked whether there is a device.
        return torch.backends.mps.is_available()

    def count(self) -> int:
        return int(self.is_available())

    def device_name(self, index: int | None = None) -> str:
        return f"Apple GPU ({platform.processor() or platform.machine()})"

    def synchronize(self, index: int | None = None) -> None:
        self._ask("synchronize")

    def memory_info(self, index: int | None = None) -> tuple[int, int] | None:
        total, used = self._ask("recommended_max_memory"), self.reserved_memory()
        return None if total is None or used is None else (max(int(total) - used, 0), int(total))

    def allocated_memory(self, index: int | None = None) -> int | None:
        return _integer(self._ask("current_allocated_memory"))

    def reserved_memory(self, index: int | None = None) -> int | None:
        return _integer(self._ask("driver_allocated_memory"))

    def pins_memory(self) -> bool:
        return False


@dataclass(frozen=True)
class _Dipu(Accelerator):
    """DIPU, an adapter for devices of several vendors: its plugin replaces the functions of ``torch.cuda``."""

    def module(self) -> Any:
        if self.plugin is None or not self.is_available():
            return None
        importlib.import_module(self.plugin)
        return torch.cuda

    def is_available(self) -> bool:
        # DIPU has no function that reports a device, so an installed plugin counts as available.
        return self.plugin is not None and importlib.util.find_spec(self.plugin) is not None


@dataclass(frozen=True)
class _Processor(Accelerator):
    """The CPU with the interface of an accelerator: it reports no memory, and `synchronize` returns immediately."""

    def module(self) -> Any:
        return None

    def is_available(self) -> bool:
        return True

    def is_in_use(self) -> bool:
        return False

    def device_name(self, index: int | None = None) -> str:
        return platform.processor() or platform.machine() or "cpu"

    def pins_memory(self) -> bool:
        return False


# All accelerator types that eng supports, the preferred one first. The NPU precedes CUDA, because its plugin may
# emulate `torch.cuda`: an NPU would then be taken for a CUDA device.
ACCELERATORS: tuple[Accelerator, ...] = (
    Accelerator("npu", backend="hccl", plugin="torch_npu"),
    Accelerator("cuda", backend="nccl"),
    Accelerator("xpu", backend="xccl"),
    Accelerator("mlu", backend="cncl", plugin="torch_mlu"),
    _AppleGPU("mps"),
    _Dipu("dipu", plugin="torch_dipu"),
    Accelerator("musa", backend="mccl", plugin="torch_musa"),
)
CPU = _Processor("cpu", backend="gloo")


def accelerator(name: str) -> Accelerator:
    """Returns the entry of `ACCELERATORS` with the name of a device type, such as ``'cuda'``.

    Raises:
        KeyError: eng has no entry for this device type.
    """
    for row in ACCELERATORS:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in ACCELERATORS)
    raise KeyError(f"no accelerator is called {name!r}; known are {known}")


def current_accelerator() -> Accelerator | None:
    """Returns the first entry of `ACCELERATORS` that this process can use; None if there is no accelerator.

    An accelerator that `ACCELERATORS` lacks is used if torch itself reports it.
    """
    return next((row for row in rows() if row.is_available()), None)


def rows() -> list[Accelerator]:
    """Returns the entries of `ACCELERATORS`, and a new entry for an accelerator that only torch reports."""
    device = torch.accelerator.current_accelerator()
    if device is None or device.type in {row.name for row in ACCELERATORS}:
        return list(ACCELERATORS)
    return [*ACCELERATORS, Accelerator(device.type)]


def row_of(device: torch.device | str | int | None) -> Accelerator:
    """Returns the object with which the functions of `eng.device` control a device (an `Accelerator`, or the CPU's).

    None and a bare index stand for the current accelerator, or for the CPU if there is no accelerator. For a device
    type that `ACCELERATORS` lacks, a new `Accelerator` for the module ``torch.<type>`` is returned.
    """
    if device is None or isinstance(device, int):
        return current_accelerator() or CPU
    # torch.device("npu:0") raises an error unless the vendor's plugin is imported, so the text is split here instead.
    name = device.partition(":")[0] if isinstance(device, str) else device.type
    return next((row for row in (CPU, *ACCELERATORS) if row.name == name), None) or Accelerator(name)


def _integer(number: Any) -> int | None:
    return None if number is None else int(number)
