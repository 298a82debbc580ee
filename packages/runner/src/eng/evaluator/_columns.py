"""Look up the arguments of a metric, as tensors of a batch, in the predictions of a model and in the batch."""

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
"""For each argument of a metric the keys that predictions and batches usually have for it."""


class Columns:
    """Looks up the arguments of a metric, such as ``preds`` and ``target``, in the predictions and the batch.

    Args:
        data_batch: the batch, as the dataloader yielded it.
        data_samples: the predictions, as the model returned them: an object with a mapping ``batch``, a mapping, a
            tensor, or one mapping per sample, whose values are stacked.
    """

    def __init__(self, data_batch: Any, data_samples: Any) -> None:
        self._predicted = _predictions_by_key(data_samples)
        self._batch = _batch_by_key(data_batch)

    def get(self, argument: str, key: str | int | None) -> Any:
        """Returns the values for an argument of a metric, for all samples of the batch.

        The predictions are searched first, then the batch.

        Args:
            argument: name of the argument, such as ``target``.
            key: key of the values in the predictions or the batch; None looks for the name of the argument and its
                :data:`SYNONYMS`.

        Raises:
            KeyError: neither the predictions nor the batch have the key.
        """
        names: tuple[Any, ...] = (key,)
        if key is None:
            names = SYNONYMS.get(argument, (argument,))
        for holder in (self._predicted, self._batch):
            for name in names:
                if name in holder:
                    return _join(holder[name])
        # If the batch is a tuple or list, such as (inputs, target), its last item is taken as the target.
        if key is None and argument == "target" and 1 in self._batch:
            return _join(self._batch[max(index for index in self._batch if isinstance(index, int))])
        raise KeyError(argument)

    def __str__(self) -> str:
        predicted, batch = (", ".join(map(repr, holder)) or "none" for holder in (self._predicted, self._batch))
        return f"the predictions have the keys {predicted}; the batch has {batch}"


def _predictions_by_key(samples: Any) -> dict[Any, Any]:
    """Returns the predictions for a batch by key; each value is a tensor of the complete batch or a list over samples.

    Predictions without keys, such as a tensor, get the key ``preds``.
    """
    batch = getattr(samples, "batch", None)
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(samples, Mapping):
        return dict(samples)
    if isinstance(samples, torch.Tensor):
        return {"preds": samples}
    rows: list[Any] = []
    if isinstance(samples, Iterable):
        for row in samples:
            if hasattr(row, "to_dict"):
                row = row.to_dict()
            rows.append(row)
    if not rows:
        return {}
    if all(isinstance(row, Mapping) for row in rows):
        return _columns_of(rows)
    return {"preds": rows}


def _batch_by_key(batch: Any) -> dict[Any, Any]:
    """Returns the parts of a dataloader's batch by key, or by position if it is a tuple such as (inputs, target)."""
    if isinstance(batch, Mapping):
        return dict(batch)
    if not isinstance(batch, (list, tuple)):
        return {}
    if batch and isinstance(batch[0], Mapping):
        return _columns_of(batch)
    return dict(enumerate(batch))


def _columns_of(rows: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Converts a list of samples to a dict of lists: for each key that all samples have, the values of all samples."""
    return {name: [row[name] for row in rows] for name in rows[0] if all(name in row for row in rows)}


def _join(values: Any) -> Any:
    """Stacks the values of all samples of a batch to one tensor, if they are tensors, arrays or numbers of one shape.

    Any other values are returned unchanged.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return torch.from_numpy(values)
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return values
    if not all(isinstance(value, (torch.Tensor, np.ndarray, np.generic, int, float)) for value in values):
        return values
    tensors = [torch.as_tensor(value) for value in values]
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        return values
    joined = torch.stack(tensors)
    # The label of a sample is often a tensor of shape (1,). Stacked labels have the shape (N, 1), but metrics expect
    # (N,), so the last dimension is removed.
    if joined.dim() == 2 and joined.shape[1] == 1 and not joined.is_floating_point():
        return joined.squeeze(1)
    return joined
