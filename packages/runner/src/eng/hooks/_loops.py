"""What hooks and the log processor ask of a loop: what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["counts_epochs"]


def counts_epochs(train_loop: Any) -> bool:
    """Whether a training run counts epochs, as most do, or iterations.

    Args:
        train_loop: the loop, its config, or None where there is no training.

    Example:
        >>> counts_epochs({"by_epoch": False, "max_iters": 100}), counts_epochs({"max_epochs": 3}), counts_epochs(None)
        (False, True, True)
    """
    if isinstance(train_loop, Mapping):
        kind = train_loop.get("type")
        if kind is None:
            return bool(train_loop.get("by_epoch", "max_iters" not in train_loop))
        return "max_epochs" in train_loop or "max_iters" not in train_loop
    return not getattr(train_loop, "counts_iterations", False)
