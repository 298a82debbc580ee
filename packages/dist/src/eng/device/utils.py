"""Functions on devices that MMEngine offers under this module path: `get_device`, `is_cuda_available` and others."""

from __future__ import annotations

import torch

from eng.device._table import ACCELERATORS, Accelerator, accelerator, current_accelerator

__all__ = [
    "ACCELERATORS",
    "Accelerator",
    "get_device",
    "get_max_cuda_memory",
    "get_max_musa_memory",
    "is_cuda_available",
    "is_dipu_available",
    "is_mlu_available",
    "is_mps_available",
    "is_musa_available",
    "is_npu_available",
    "is_npu_support_full_precision",
    "is_xpu_available",
]

_BYTES_PER_MB = 1024 * 1024
# Number that torch_npu gives to the first generation of Ascend chips that computes in full float32 precision.
_FIRST_FULL_PRECISION_SOC = 220


def get_device() -> str:
    """Returns the device type to which a model should be moved.

    Returns:
        The first available type of ``'npu'``, ``'cuda'``, ``'xpu'``, ``'mlu'``, ``'mps'``, ``'dipu'`` and ``'musa'``;
        else the type of another accelerator that torch reports; ``'cpu'`` without an accelerator.

    Example:
        >>> get_device() in {'cpu', *(row.name for row in ACCELERATORS)}
        True
    """
    accelerator = current_accelerator()
    return "cpu" if accelerator is None else accelerator.name


def is_cuda_available() -> bool:
    """Whether a CUDA (or ROCm) device can be used."""
    return accelerator("cuda").is_available()


def is_npu_available() -> bool:
    """Whether an Ascend NPU can be used (needs ``torch_npu``)."""
    return accelerator("npu").is_available()


def is_xpu_available() -> bool:
    """Whether an Intel GPU can be used."""
    return accelerator("xpu").is_available()


def is_mlu_available() -> bool:
    """Whether a Cambricon MLU can be used (needs ``torch_mlu``)."""
    return accelerator("mlu").is_available()


def is_mps_available() -> bool:
    """Whether Apple's GPU can be used."""
    return accelerator("mps").is_available()


def is_musa_available() -> bool:
    """Whether a Moore Threads GPU can be used (needs ``torch_musa``)."""
    return accelerator("musa").is_available()


def is_dipu_available() -> bool:
    """Whether DIPU, an adapter for several vendors, is installed (``torch_dipu``)."""
    return accelerator("dipu").is_available()


def is_npu_support_full_precision() -> bool:
    """Whether the Ascend NPU of this machine computes in full float32; False without an NPU."""
    npu = accelerator("npu")
    if not npu.is_available():
        return False
    return int(npu.module().utils.get_soc_version()) >= _FIRST_FULL_PRECISION_SOC


def get_max_cuda_memory(device: torch.device | None = None) -> int:
    """Returns the peak memory of tensors on a CUDA device since the last call of this function, and resets the peak.

    Args:
        device: the device; None for the current one.

    Returns:
        Megabytes (2**20 bytes), rounded down; 0 if no CUDA device is available.
    """
    return _peak_memory_mb("cuda", device)


def get_max_musa_memory(device: torch.device | None = None) -> int:
    """Returns the peak memory of tensors on a Moore Threads GPU since the last call of this function.

    The result is in megabytes (2**20 bytes), rounded down; 0 if there is no such GPU. The call resets the peak.
    """
    return _peak_memory_mb("musa", device)


def _peak_memory_mb(name: str, device: torch.device | None) -> int:
    """Returns the peak memory of tensors on a device in megabytes and resets the peak; 0 without such a device.

    Args:
        name: device type, such as ``"cuda"``.
        device: the device; None for the current one.
    """
    row = accelerator(name)
    if not row.is_available():
        return 0
    module = row.module()
    peak_bytes = module.max_memory_allocated(device=device)
    module.reset_peak_memory_stats(device=device)
    return int(peak_bytes) // _BYTES_PER_MB
