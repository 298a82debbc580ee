"""The command `eng env`, which prints versions and devices for a bug report."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

import click

_LIBRARIES = ("torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless", "deepspeed")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Versions and devices, for a bug report."""
    facts = report()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        click.echo(f"{key:<{width}}  {value}")


def report() -> dict[str, str]:
    """Returns the versions of installed packages and the devices of the machine, for a bug report.

    Each name, such as ``"python"``, ``"torch"`` or ``"devices"``, maps to a text. No other process is started.
    """
    return {
        "python": f"{platform.python_version()} ({sys.implementation.name})",
        "system": platform.platform(),
        "cpu": f"{_cpu_count()} cores, {platform.machine()}",
        **_versions(),
        **_devices(),
    }


def _cpu_count() -> int:
    # Only the cores that this process may use are counted; in a container these are often fewer than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _versions() -> dict[str, str]:
    """Returns the versions of the installed packages of eng, and of some libraries such as torch."""
    installed = {dist.name: dist.version for dist in importlib.metadata.distributions() if dist.name}
    ours = {name: version for name, version in sorted(installed.items()) if name == "eng" or name.startswith("eng-")}
    return ours | {name: installed[name] for name in _LIBRARIES if name in installed}


def _devices() -> dict[str, str]:
    """Returns the names of the accelerators, and the versions of CUDA and cuDNN if torch uses a CUDA device."""
    try:
        import torch
    except ImportError:
        return {"devices": "unknown: torch is not installed"}
    try:
        from eng.device import device_count, device_name, get_device
    except ImportError:
        return {"devices": "unknown: eng-dist is not installed"}
    names = [device_name(index) for index in range(device_count())]
    facts = {"devices": ", ".join(names) or get_device()}
    if names and get_device() == "cuda" and torch.version.cuda:
        facts |= {"cuda": torch.version.cuda, "cudnn": str(_cudnn(torch))}
    return facts


def _cudnn(torch: Any) -> object:
    return torch.backends.cudnn.version()
