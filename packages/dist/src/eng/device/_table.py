"""The table of accelerators: adding a vendor is adding a row."""

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
    """One kind of accelerator as PyTorch shows it.

    The methods take an index of a device, None for the current one. They ask the vendor's module below ``torch``, whose
    functions are called as those of CUDA are; what a vendor does not offer is None, or nothing happens.

    Args:
        name: device type, and the name of its module below ``torch``.
        backend: collective backend of the vendor; None where the device has none.
        plugin: package that adds the device to torch when imported; None where torch brings it.
    """

    name: str
    backend: str | None = None
    plugin: str | None = None

    def module(self) -> Any:
        """``torch.<name>``, with the vendor's plugin imported; None where either is missing."""
        if self.plugin is not None:
            if importlib.util.find_spec(self.plugin) is None:
                return None
            importlib.import_module(self.plugin)
        return getattr(torch, self.name, None)

    def is_available(self) -> bool:
        """Whether this process can use a device of this kind now."""
        return bool(self._ask("is_available"))

    def is_in_use(self) -> bool:
        """Whether this process has begun to use a device of this kind; imports no plugin."""
        if self.plugin is not None and self.plugin not in sys.modules:
            return False
        return self.is_available() and self._ask("is_initialized") is not False

    def count(self) -> int:
        """How many devices of this kind this process sees."""
        return int(self._ask("device_count") or 0)

    def current_index(self) -> int:
        """Index of the current device."""
        return int(self._ask("current_device") or 0)

    def set_current(self, index: int) -> None:
        """Makes a device the current one."""
        self._ask("set_device", index)

    def device_name(self, index: int | None = None) -> str:
        """Name of the product, such as ``'NVIDIA H100 80GB HBM3'``."""
        return str(self._ask("get_device_name", index) or self.name)

    def synchronize(self, index: int | None = None) -> None:
        """Returns when the device has done all work that it was given."""
        self._ask("synchronize", index)

    def empty_cache(self) -> None:
        """Gives memory back that the allocator keeps and no tensor uses."""
        self._ask("empty_cache")

    def memory_info(self, index: int | None = None) -> tuple[int, int] | None:
        """Free and total bytes of a device."""
        answer = self._ask("mem_get_info", index)
        return None if answer is None else (int(answer[0]), int(answer[1]))

    def allocated_memory(self, index: int | None = None) -> int | None:
        """Bytes that tensors hold now."""
        return _integer(self._ask("memory_allocated", index))

    def reserved_memory(self, index: int | None = None) -> int | None:
        """Bytes that the allocator holds now, in use or not."""
        return _integer(self._ask("memory_reserved", index))

    def peak_memory(self, index: int | None = None) -> int | None:
        """Most bytes that tensors held since the last :meth:`reset_peak_memory`."""
        return _integer(self._ask("max_memory_allocated", index))

    def peak_reserved_memory(self, index: int | None = None) -> int | None:
        """Most bytes that the allocator held since the last :meth:`reset_peak_memory`."""
        return _integer(self._ask("max_memory_reserved", index))

    def reset_peak_memory(self, index: int | None = None) -> None:
        """Begins a new period for the peaks."""
        self._ask("reset_peak_memory_stats", index)

    def rng_state(self) -> torch.Tensor | None:
        """State of the current device's random generator."""
        state: torch.Tensor | None = self._ask("get_rng_state")
        return state

    def set_rng_state(self, state: torch.Tensor) -> None:
        """Puts the current device's random generator into a state."""
        self._ask("set_rng_state", state.cpu())

    def pins_memory(self) -> bool:
        """Whether copies from and to this device run beside computation where the host's memory is pinned."""
        return True

    def _ask(self, function: str, *arguments: Any) -> Any:
        """The answer of a function of the vendor's module; None where the module has no such function."""
        call = getattr(self.module(), function, None)
        return call(*arguments) if callable(call) else None


@dataclass(frozen=True)
class _AppleGPU(Accelerator):
    """One GPU, whose memory is that of the machine; its allocator counts no peaks."""

    def is_available(self) -> bool:
        # `torch.mps` is importable everywhere; only its backend knows whether there is a device.
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
    """DIPU shows itself as ``torch.cuda``."""

    def module(self) -> Any:
        if self.plugin is None or not self.is_available():
            return None
        importlib.import_module(self.plugin)
        return torch.cuda

    def is_available(self) -> bool:
        # That its plugin is installed is all there is to ask.
        return self.plugin is not None and importlib.util.find_spec(self.plugin) is not None


@dataclass(frozen=True)
class _Processor(Accelerator):
    """The CPU answers as a device that counts nothing and has nothing to wait for."""

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


# In the order in which they are preferred: a machine with an NPU has a CPU-only or a faked `torch.cuda`.
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
    """The row of `name`.

    Raises:
        KeyError: no accelerator is called so.
    """
    for row in ACCELERATORS:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in ACCELERATORS)
    raise KeyError(f"no accelerator is called {name!r}; known are {known}")


def current_accelerator() -> Accelerator | None:
    """The first available row of the table, or the accelerator that torch itself names; None with a CPU only."""
    return next((row for row in rows() if row.is_available()), None)


def rows() -> list[Accelerator]:
    """The table, and a row for the accelerator of this torch where it is of a vendor outside of the table."""
    device = torch.accelerator.current_accelerator()
    if device is None or device.type in {row.name for row in ACCELERATORS}:
        return list(ACCELERATORS)
    return [*ACCELERATORS, Accelerator(device.type)]


def row_of(device: torch.device | str | int | None) -> Accelerator:
    """Row of a device; None and a bare index stand for the current accelerator, the CPU's row where there is none.

    A device type outside of the table gets a row whose module is ``torch.<type>``.
    """
    if device is None or isinstance(device, int):
        return current_accelerator() or CPU
    # A text is not parsed by torch, which refuses the name of a vendor whose plugin is not imported.
    name = device.partition(":")[0] if isinstance(device, str) else device.type
    return next((row for row in (CPU, *ACCELERATORS) if row.name == name), None) or Accelerator(name)


def _integer(number: Any) -> int | None:
    return None if number is None else int(number)
