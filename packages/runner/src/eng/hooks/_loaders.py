"""The number of batches of a validation or test dataloader."""

from __future__ import annotations

from typing import Any

from eng.dataset.utils import length_of


def loader_length(runner: Any, mode: str) -> int:
    """Returns the number of batches of the validation or test dataloader; 0 if there is none or it has no length.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    loader: Any = getattr(runner, f"{mode}_dataloader", None)
    return length_of(loader) or 0
