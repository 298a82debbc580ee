"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

from eng.dist._launchers import Launch


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Any) -> None:
    """Makes a vendor's device appear as its plugin would."""
    plugin = types.ModuleType(f"torch_{name}")
    plugin.__spec__ = types.SimpleNamespace(name=plugin.__name__)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    module = types.SimpleNamespace(is_available=lambda: True, **functions)
    monkeypatch.setattr(torch, name, module, raising=False)


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "host", "MASTER_PORT": "1234"}


def rank_1(port: int | None, job: str = "") -> Launch:
    return Launch(rank=1, world_size=2, local_rank=1, local_size=2, address="127.0.0.1", port=port, job=job)
