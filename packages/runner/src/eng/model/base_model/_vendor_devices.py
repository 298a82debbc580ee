"""Moves to the devices of vendors whose torch extensions add none of these methods to every module."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch

Self = TypeVar("Self", bound="VendorDevices")


class VendorDevices:
    """``npu()``, ``mlu()`` and ``musa()`` beside the ``cuda()`` of ``nn.Module``, which must stand behind it."""

    def npu(self: Self, device: Any = None) -> Self:
        """Moves it to an Ascend NPU; needs torch_npu.

        Args:
            device: index, name or ``torch.device``; None (default) is the current one.
        """
        return _moved(self, "npu", device)

    def mlu(self: Self, device: Any = None) -> Self:
        """Moves it to a Cambricon MLU; needs torch_mlu.

        Args:
            device: as for :meth:`npu`.
        """
        return _moved(self, "mlu", device)

    def musa(self: Self, device: Any = None) -> Self:
        """Moves it to a Moore Threads GPU; needs torch_musa.

        Args:
            device: as for :meth:`npu`.
        """
        return _moved(self, "musa", device)


def _moved(module: Self, device_type: str, device: Any) -> Self:
    moved: Self = cast("Any", module).to(named(device_type, device))
    return moved


def named(device_type: str, device: Any) -> torch.device:
    """The device that ``device``, an index, a name, a device or None, means for a method called ``device_type``."""
    if isinstance(device, (str, torch.device)):
        return torch.device(device)
    return torch.device(device_type) if device is None else torch.device(device_type, device)
