"""Computes the losses of a validation batch, and the number of samples in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import unwrap
from eng.model._losses import WEIGHT_KEY
from eng.model._steps import free_gathered


def compute_losses(model: nn.Module, data_batch: object) -> Mapping[str, Any]:
    """Computes the losses of a validation batch by the model's ``forward(..., mode="loss")``.

    The entry ``loss_weight``, by which a model may weight its losses for the backward pass, is left out.
    """
    bare: Any = unwrap(model)
    data = bare.data_preprocessor(data_batch, False)
    losses: Mapping[str, Any] = bare._run_forward(data, mode="loss")  # noqa: SLF001  - the model's own contract
    free_gathered(bare)
    return {name: loss for name, loss in losses.items() if name != WEIGHT_KEY}


def count_samples(data_batch: object) -> int:
    """Returns the number of samples in a batch.

    In a mapping, the length of the first value counts. In a list or tuple of tensors or lists, each item is an argument
    of ``forward`` that contains all samples. In a list of other items, such as dictionaries, each item is one sample.
    """
    if isinstance(data_batch, Mapping):
        return next((_length(value) for value in data_batch.values()), 1)
    if isinstance(data_batch, (list, tuple)) and data_batch and isinstance(data_batch[0], (torch.Tensor, list, tuple)):
        return _length(data_batch[0])
    return _length(data_batch)


def _length(value: object) -> int:
    """Returns the length of a tensor, list or tuple; 1 for text, a tensor without dimensions and every other value."""
    if isinstance(value, torch.Tensor):
        if value.dim():
            return len(value)
        return 1
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value)
    return 1
