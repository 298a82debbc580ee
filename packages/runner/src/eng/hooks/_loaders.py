"""How many batches a loop reads."""

from __future__ import annotations

from typing import Any


def loader_length(runner: Any, mode: str) -> int:
    """Batches of the dataloader of a mode; 0 where the loop of a library has no dataloader, or one without a length.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    loader: Any = getattr(runner, f"{mode}_dataloader", None)
    return len(loader) if hasattr(loader, "__len__") else 0
