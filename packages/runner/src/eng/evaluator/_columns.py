"""Whole tensors of a batch by name, from whatever a model predicted and a loader gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "preds": (
        "preds",
        "pred",
        "prediction",
        "predictions",
        "logits",
        "pred_label",
        "pred_labels",
        "pred_score",
        "output",
    ),
    "target": ("target", "targets", "label", "labels", "gt_label", "gt_labels", "gt", "y"),
}
"""Names that a metric's arguments go by in predictions and batches."""


class Columns:
    """Values over a batch by name: those that the model predicted, then those of the loader's batch.

    Args:
        data_batch: as the loader gave it.
        data_samples: as the model gave it: an object with a mapping ``batch``, a mapping, a tensor, or one mapping per
            sample, whose values are stacked.
    """

    def __init__(self, data_batch: Any, data_samples: Any) -> None:
        self._predicted = _predicted(data_samples)
        self._batch = _batched(data_batch)

    def get(self, argument: str, key: str | int | None) -> Any:
        """The values for a metric's argument.

        Args:
            argument: name of the argument.
            key: under which they are; None looks for the argument's name and its :data:`SYNONYMS`.

        Raises:
            KeyError: neither the predictions nor the batch hold such values.
        """
        names = SYNONYMS.get(argument, (argument,)) if key is None else (key,)
        for holder in (self._predicted, self._batch):
            for name in names:
                if name in holder:
                    return _joined(holder[name])
        if key is None and argument == "target" and 1 in self._batch:  # the pair (inputs, target)
            return _joined(self._batch[max(index for index in self._batch if isinstance(index, int))])
        raise KeyError(argument)

    def __str__(self) -> str:
        predicted, batch = (", ".join(map(repr, holder)) or "none" for holder in (self._predicted, self._batch))
        return f"the predictions have the keys {predicted}; the batch has {batch}"


def _predicted(samples: Any) -> dict[Any, Any]:
    """Predictions by name: lists over the samples, or tensors of the complete batch."""
    batch = getattr(samples, "batch", None)
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(samples, Mapping):
        return dict(samples)
    if isinstance(samples, torch.Tensor):
        return {"preds": samples}
    rows = []
    if isinstance(samples, Iterable):
        rows = [row.to_dict() if hasattr(row, "to_dict") else row for row in samples]
    if rows and all(isinstance(row, Mapping) for row in rows):
        return {name: [row[name] for row in rows] for name in rows[0] if all(name in row for row in rows)}
    return {"preds": rows} if rows else {}


def _batched(batch: Any) -> dict[Any, Any]:
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], Mapping):
        return {name: [row[name] for row in batch] for name in batch[0] if all(name in row for row in batch)}
    return dict(enumerate(batch)) if isinstance(batch, (list, tuple)) else {}


def _joined(values: Any) -> Any:
    """One tensor of per-sample tensors, arrays or numbers of one shape; anything else as it is."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return torch.from_numpy(values)
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return values
    if not all(isinstance(value, (torch.Tensor, np.ndarray, np.generic, int, float)) for value in values):
        return values
    tensors = [torch.as_tensor(value) for value in values]
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        return values
    # a label is often a tensor of one element per sample
    joined = torch.stack(tensors)
    return (
        joined.squeeze(1) if joined.dim() == 2 and joined.shape[1] == 1 and not joined.is_floating_point() else joined
    )
