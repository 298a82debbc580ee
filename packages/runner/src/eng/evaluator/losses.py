"""Losses of validation: taking them out of what a model predicts, and averaging them over samples and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from eng.dist import all_reduce
from eng.structures import BaseDataElement

__all__ = ["LossMeter", "split_losses"]


def split_losses(outputs: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any] | None]:
    """Predictions without the losses that a model put behind them, and those losses.

    A model whose ``predict`` returns losses too appends one more item: a data element, or a dict, whose only entry is
    ``loss`` and holds the losses by name.

    Args:
        outputs: what the model predicted for a batch.

    Examples:
        >>> split_losses([{"label": 1}, {"loss": {"loss_cls": 0.5}}])
        ([{'label': 1}], {'loss_cls': 0.5})
    """
    if not isinstance(outputs, Sequence) or not outputs:
        return outputs, None
    last = outputs[-1]
    keys = list(last.keys()) if isinstance(last, Mapping | BaseDataElement) else []
    if keys != ["loss"]:
        return outputs, None
    losses = last["loss"] if isinstance(last, Mapping) else last.loss
    return outputs[:-1], losses if isinstance(losses, Mapping) else {"loss": losses}


class LossMeter:
    """Mean of each loss over all samples of all ranks, read from the device only at the end.

    Examples:
        >>> meter = LossMeter()
        >>> meter.update({"loss": torch.tensor(1.0)}, num_samples=1)
        >>> meter.update({"loss": torch.tensor(4.0)}, num_samples=2)
        >>> meter.compute()
        {'loss': 3.0}
    """

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._num_samples: dict[str, int] = {}

    def update(self, losses: Mapping[str, Any], num_samples: int = 1) -> None:
        """Adds the losses of a batch.

        Args:
            losses: by name; a number, a tensor (its mean counts) or a list of such (their sum counts).
            num_samples: of the batch, the weight of its losses in the mean.

        Raises:
            TypeError: a loss is something else.
        """
        for name, loss in losses.items():
            total = _scalar(name, loss).double() * num_samples
            self._sums[name] = self._sums[name] + total if name in self._sums else total
            self._num_samples[name] = self._num_samples.get(name, 0) + num_samples

    def compute(self) -> dict[str, float]:
        """Means by name, the same on all ranks; afterwards the meter is empty again."""
        names = list(self._sums)
        if not names:
            return {}
        device = self._sums[names[0]].device
        counts = torch.tensor([self._num_samples[name] for name in names], dtype=torch.float64, device=device)
        table = torch.stack([torch.stack([self._sums[name].to(device) for name in names]), counts])
        all_reduce(table)
        self._sums, self._num_samples = {}, {}
        return dict(zip(names, (table[0] / table[1]).tolist(), strict=True))


def _scalar(name: str, loss: Any) -> torch.Tensor:
    if isinstance(loss, torch.Tensor):
        return loss.detach().mean()
    if isinstance(loss, list | tuple):
        return torch.stack([_scalar(name, part) for part in loss]).sum()
    if isinstance(loss, int | float):
        return torch.tensor(float(loss))
    raise TypeError(f"the loss {name!r} must be a number, a tensor or a list of tensors, not {type(loss).__name__}")
