"""The table of accelerators: adding a vendor is adding a row."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Accelerator:
    """One kind of accelerator as PyTorch shows it.

    Args:
        name: device type, and the name of its module below ``torch`` (``torch.cuda``).
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
        module = self.module()
        probe = getattr(module, "is_available", None)
        return bool(probe()) if callable(probe) else False


@dataclass(frozen=True)
class _AppleGPU(Accelerator):
    """``torch.mps`` is importable everywhere; only its backend knows whether there is a device."""

    def is_available(self) -> bool:
        return torch.backends.mps.is_available()


@dataclass(frozen=True)
class _Dipu(Accelerator):
    """DIPU shows itself as ``torch.cuda``; that its plugin is installed is all there is to ask."""

    def is_available(self) -> bool:
        return self.plugin is not None and importlib.util.find_spec(self.plugin) is not None


# In the order in which they are preferred: a machine with an NPU has a CPU-only or a faked `torch.cuda`.
ACCELERATORS: tuple[Accelerator, ...] = (
    Accelerator("npu", backend="hccl", plugin="torch_npu"),
    Accelerator("cuda", backend="nccl"),
    Accelerator("mlu", backend="cncl", plugin="torch_mlu"),
    _AppleGPU("mps"),
    _Dipu("dipu", plugin="torch_dipu"),
    Accelerator("musa", backend="mccl", plugin="torch_musa"),
)


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
    """The first available row of the table; None on a machine with a CPU only."""
    return next((row for row in ACCELERATORS if row.is_available()), None)
