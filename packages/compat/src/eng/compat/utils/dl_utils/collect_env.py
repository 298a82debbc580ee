"""Replaces ``mmengine.utils.dl_utils.collect_env``: a report about software and devices."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections import OrderedDict
from importlib import metadata
from typing import Any

import numpy as np
import torch

from eng.compat.version import __version__


def collect_env() -> OrderedDict[str, Any]:
    """Returns versions of software and names of devices, under the keys that MMEngine uses.

    The C compiler is started once to get its version; the command `eng env` starts no process.

    Returns:
        A dict with ``sys.platform``, ``Python``, ``CUDA available``, the devices by name, ``GCC``, ``PyTorch`` and its
        build settings, ``TorchVision``, ``OpenCV`` and ``MMEngine``.
    """
    from eng.device import is_cuda_available, is_musa_available

    env: OrderedDict[str, Any] = OrderedDict()
    env["sys.platform"] = sys.platform
    env["Python"] = sys.version.replace("\n", "")
    env["CUDA available"] = is_cuda_available()
    env["MUSA available"] = is_musa_available()
    env["numpy_random_seed"] = np.random.get_state()[1][0]  # type: ignore[index]  # noqa: NPY002  # the legacy state is a tuple
    env.update(_devices())
    env["GCC"] = _compiler_version()
    env["PyTorch"] = torch.__version__
    env["PyTorch compiling details"] = torch.__config__.show()
    for title, distributions in (
        ("TorchVision", ("torchvision",)),
        ("OpenCV", ("opencv-python", "opencv-python-headless")),
    ):
        version = next(filter(None, map(_version, distributions)), None)
        if version:
            env[title] = version
    env["MMEngine"] = __version__
    return env


def _devices() -> dict[str, str]:
    from eng.device import device_count, device_name

    indices_of: dict[str, list[str]] = {}
    for index in range(device_count()):
        indices_of.setdefault(device_name(index), []).append(str(index))
    return {f"GPU {','.join(indices)}": name for name, indices in indices_of.items()}


def _compiler_version() -> str:
    """Returns the first line that the C compiler prints about its version; ``"n/a"`` if there is no compiler."""
    program = "cl" if platform.system() == "Windows" else "gcc"
    try:
        done = subprocess.run(  # noqa: S603  # the name of the program is fixed
            [program, "--version"], capture_output=True, check=True, encoding="utf-8", errors="replace"
        )
    except (OSError, subprocess.CalledProcessError):
        return "n/a"
    return done.stdout.splitlines()[0]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
