"""What a network gave for a batch: a sequence of samples, and the batch's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import torch


class Predictions(Sequence[Any]):
    """The predictions of a batch, one mapping per sample, with the whole tensors in :attr:`batch`.

    Args:
        batch: ``preds`` and, where the batch had one, ``target``: tensors ``(N, ...)``, or sequences of ``N`` values.

    Attributes:
        batch: the same.

    Examples:
        >>> predictions = Predictions({"preds": torch.tensor([[0.2, 0.8]]), "target": torch.tensor([1])})
        >>> len(predictions), predictions[0]["target"]
        (1, tensor(1))
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = dict(batch)

    def __len__(self) -> int:
        preds = self.batch["preds"]
        return 1 if isinstance(preds, torch.Tensor) and not preds.dim() else len(preds)

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
