"""How many batches a loop reads."""

from __future__ import annotations

from typing import Any

from eng.dataset.utils import length_of


def loader_length(runner: Any, mode: str) -> int:
    """Batches of the dataloader of a mode; 0 where the loop of a library has no dataloader, or one without a length.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    loader: Any = getattr(runner, f"{mode}_dataloader", None)
    return length_of(loader) or 0
