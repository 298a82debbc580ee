"""Peak FLOPS of accelerators, for the FLOPs utilization (``mfu``), and the memory use of this process."""

from __future__ import annotations

import os
from pathlib import Path

import torch

__all__ = ["host_memory_mb", "peak_flops"]

# Peak dense FLOPS from data sheets: first with 16-bit inputs, then with 32-bit inputs (TF32 if the device supports it).
# The first entry that matches a device's name is used, so a longer name such as "H100 PCIe" must precede "H100".
_PEAKS = {
    "H100 PCIe": (756e12, 378e12), "H100 NVL": (835e12, 417e12), "H100": (989e12, 494e12), "H200": (989e12, 494e12),
    "H800": (989e12, 494e12), "H20": (148e12, 74e12), "GH200": (989e12, 494e12), "B200": (2250e12, 1125e12), "A100": (312e12, 156e12),
    "A800": (312e12, 156e12), "A10G": (70e12, 35e12), "A10": (125e12, 62.5e12), "A30": (165e12, 82e12), "A40": (149.7e12, 74.8e12),
    "L40S": (362e12, 183e12), "L40": (181e12, 90.5e12), "L4": (121e12, 60e12), "V100": (125e12, 15.7e12), "T4": (65e12, 8.1e12),
    "MI300X": (1307e12, 653e12), "MI250X": (383e12, 95.7e12), "RTX 4090": (165e12, 82.6e12), "RTX 3090": (71e12, 35.6e12),
}  # fmt: skip
_STATM = Path("/proc/self/statm")
_SIXTEEN_BITS = (torch.float16, torch.bfloat16)


def peak_flops(name: str, dtype: torch.dtype, *, allows_tf32: bool = True) -> float | None:
    """Returns a device's peak of dense floating-point operations per second, from its data sheet; None if unknown.

    Args:
        name: name of the device, as :func:`eng.device.device_name` returns it.
        dtype: dtype of the forward pass.
        allows_tf32: whether float32 matrices are multiplied as TF32. The table has no peak of plain float32, so False
            returns None for float32.

    Example:
        >>> peak_flops("NVIDIA A100-SXM4-80GB", torch.bfloat16)
        312000000000000.0
        >>> peak_flops("cpu", torch.float32) is None
        True
    """
    known = next((peaks for device, peaks in _PEAKS.items() if _is_named(name, device)), None)
    if known is None or (dtype not in _SIXTEEN_BITS and not allows_tf32):
        return None
    if dtype in _SIXTEEN_BITS:
        return known[0]
    return known[1]


def _is_named(name: str, device: str) -> bool:
    """Whether the full name of a device contains ``device`` as whole words: "NVIDIA A100-SXM4-80GB" contains "A100"."""
    name_parts = name.replace("-", " ").split()
    wanted = device.split()
    return any(name_parts[start : start + len(wanted)] == wanted for start in range(len(name_parts)))


def host_memory_mb() -> float | None:
    """Returns the resident memory of this process in MB (2**20 bytes); None on systems without /proc."""
    try:
        # Each log line calls this function, and an unbuffered read takes fewer system calls than `read_text`.
        with _STATM.open("rb", buffering=0) as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
