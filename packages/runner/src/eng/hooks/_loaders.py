"""The number of batches of a validation or test dataloader."""

from __future__ import annotations

from typing import Any

from eng.dataset.utils import length_of


def loader_length(runner: Any, mode: str) -> int:
    """Returns the number of batches of a dataloader; 0 if it has no length, or if the loop has no dataloader.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    loader: Any = getattr(runner, f"{mode}_dataloader", None)
    return length_of(loader) or 0
