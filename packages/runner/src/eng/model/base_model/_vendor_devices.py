"""Methods that move a module to an NPU, MLU or MUSA device, which the vendors' torch extensions do not all add."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch

Self = TypeVar("Self", bound="VendorDevices")


class VendorDevices:
    """Mixin for modules with the methods ``npu()``, ``mlu()`` and ``musa()``, which work like ``nn.Module.cuda``.

    A class lists this mixin before ``nn.Module`` among its base classes.
    """

    def npu(self: Self, device: Any = None) -> Self:
        """Moves the module to an Ascend NPU; needs torch_npu.

        Args:
            device: index, name or ``torch.device`` of the NPU; None (default) is the current NPU.
        """
        return _moved(self, "npu", device)

    def mlu(self: Self, device: Any = None) -> Self:
        """Moves the module to a Cambricon MLU; needs torch_mlu.

        Args:
            device: see :meth:`npu`.
        """
        return _moved(self, "mlu", device)

    def musa(self: Self, device: Any = None) -> Self:
        """Moves the module to a Moore Threads GPU; needs torch_musa.

        Args:
            device: see :meth:`npu`.
        """
        return _moved(self, "musa", device)


def _moved(module: Self, device_type: str, device: Any) -> Self:
    moved: Self = cast("Any", module).to(named(device_type, device))
    return moved


def named(device_type: str, device: Any) -> torch.device:
    """Returns the ``torch.device`` that the argument of a method such as ``Module.npu(device)`` describes.

    Args:
        device_type: the type of the device, such as ``"npu"``.
        device: an index, a name, a ``torch.device``, or None for the current device of the type.
    """
    if isinstance(device, (str, torch.device)):
        return torch.device(device)
    if device is None:
        return torch.device(device_type)
    return torch.device(device_type, device)
