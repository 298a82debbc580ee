"""What two runs left, compared bit by bit; for the tests of this folder and the scripts that they start."""

from __future__ import annotations

from typing import Any

import torch


def differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    """Paths at which two nested values differ in a bit."""
    if isinstance(ours, torch.Tensor):
        return [] if isinstance(theirs, torch.Tensor) and torch.equal(ours, theirs) else [name]
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{name}.{key}" for key in ours.keys() ^ theirs.keys()]
        shared = (key for key in ours if key in theirs)
        return missing + [d for key in shared for d in differences(ours[key], theirs[key], f"{name}.{key}")]
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)) and len(ours) == len(theirs):
        return [d for i, pair in enumerate(zip(ours, theirs, strict=True)) for d in differences(*pair, f"{name}.{i}")]
    return [] if ours == theirs else [f"{name}: {ours} against {theirs}"]
