"""A hint for the error of a forward that got lists of samples instead of stacked tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eng.logging.words import counted

# This pattern matches the error messages of Python, torch and NumPy for a list or tuple that is used like a tensor.
_NAMES_A_LIST = re.compile(r"\b(list|tuple|sequence)\b|can be converted to (an index|Python scalars)")
_NUMBERS = (torch.Tensor, np.ndarray, np.generic, int, float)


def unstacked_hint(error: Exception, batch: Any) -> str | None:
    """Returns a hint for an error of a forward that got lists of samples in place of tensors.

    The hint says how the samples can be stacked into tensors. The result is None if lists did not cause the error. If
    the batch holds a tensor, a collate function has already stacked the samples, so the remaining lists are intended
    and the result is None too.

    Args:
        error: the error that the model's forward raised.
        batch: the batch that the forward was called with.
    """
    if not _NAMES_A_LIST.search(str(error)):
        return None
    fields: dict[Any, Any] = {}
    if isinstance(batch, Mapping):
        fields = dict(batch)
    elif isinstance(batch, (list, tuple)):
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
    if isinstance(column[0], np.ndarray):
        return counted(len(column), "array")
    return counted(len(column), "number")


def _advice(columns: Mapping[Any, Sequence[Any]]) -> str:
    """Returns advice what to change in the config so that the samples of a batch are stacked into tensors."""
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
