"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Any) -> None:
    """Makes a vendor's device appear as its plugin would."""
    plugin = types.ModuleType(f"torch_{name}")
    plugin.__spec__ = types.SimpleNamespace(name=plugin.__name__)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    module = types.SimpleNamespace(is_available=lambda: True, **functions)
    monkeypatch.setattr(torch, name, module, raising=False)
