"""Predictions: the predictions for a batch, both as a sequence of samples and as tensors of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import torch


class Predictions(Sequence[Any]):
    """The predictions for a batch, as a sequence with one dict per sample, which has the keys ``preds`` and ``target``.

    Args:
        batch: the predictions of all ``N`` samples under ``preds`` and, if the batch has a target, the targets under
            ``target``: tensors ``(N, ...)``, or sequences of ``N`` values.

    Attributes:
        batch: a dict with ``preds`` and ``target`` of all samples, for metrics that take a complete batch at once.

    Examples:
        >>> predictions = Predictions({"preds": torch.tensor([[0.2, 0.8]]), "target": torch.tensor([1])})
        >>> len(predictions), predictions[0]["target"]
        (1, tensor(1))
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = dict(batch)

    def __len__(self) -> int:
        preds = self.batch["preds"]
        if isinstance(preds, torch.Tensor) and preds.dim() == 0:
            return 1
        return len(preds)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._sample(position) for position in range(len(self))[index]]
        return self._sample(range(len(self))[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._sample, range(len(self)))

    def _sample(self, position: int) -> dict[str, Any]:
        return {name: values[position] for name, values in self.batch.items() if _has(values, position)}


def _has(values: Any, position: int) -> bool:
    if isinstance(values, torch.Tensor):
        return values.dim() > 0 and position < len(values)
    return isinstance(values, Sequence) and position < len(values)
