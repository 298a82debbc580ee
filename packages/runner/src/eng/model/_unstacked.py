"""The hint below the error of a forward that got lists of samples instead of tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eng.logging.words import counted

# What Python, torch and NumPy say of a list or tuple where a tensor is needed.
_NAMES_A_LIST = re.compile(r"\b(list|tuple|sequence)\b|can be converted to (an index|Python scalars)")
_NUMBERS = (torch.Tensor, np.ndarray, np.generic, int, float)


def unstacked_hint(error: Exception, batch: Any) -> str | None:
    """How to get tensors instead of lists of samples; None where lists of samples did not cause the error.

    A batch that holds a tensor was stacked, so that its lists are intended.

    Args:
        error: what the forward raised.
        batch: as the forward got it.
    """
    if not _NAMES_A_LIST.search(str(error)):
        return None
    fields: dict[Any, Any] = dict(batch) if isinstance(batch, Mapping) else {}
    if isinstance(batch, (list, tuple)):
        fields = dict(enumerate(batch))
    columns = {key: value for key, value in fields.items() if _is_column(value)}
    if not columns or any(isinstance(value, (torch.Tensor, np.ndarray)) for value in fields.values()):
        return None
    text = ", ".join(f"{key!r} ({_facts(column)})" for key, column in columns.items())
    return f"The batch holds a list of samples under {text}. {_advice(columns)}"


def _is_column(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, _NUMBERS) for item in value)


def _facts(column: Sequence[Any]) -> str:
    if isinstance(column[0], torch.Tensor):
        return counted(len(column), "tensor")
    return counted(len(column), "array" if isinstance(column[0], np.ndarray) else "number")


def _advice(columns: Mapping[Any, Sequence[Any]]) -> str:
    """What to change in the config so that samples become tensors."""
    for key, column in columns.items():
        shapes = sorted({tuple(np.shape(item)) for item in column})
        if len(shapes) > 1:
            return (
                f"The samples of {key!r} differ in shape ({shapes[0]} and {shapes[1]}), so that nothing can stack them: make them equal in "
                "the dataset's pipeline, or pad them in a collate_fn or a data_preprocessor such as ImgDataPreprocessor"
            )
    return (
        "A dataloader config groups samples by pseudo_collate, which stacks nothing: write train_dataloader=dict(..., "
        "collate_fn=dict(type='default_collate')), and val_dataloader and test_dataloader likewise, for tensors"
    )
