"""Losses of validation: taking them out of what a model predicts, and averaging them over samples and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eng.dist import all_gather_object
from eng.structures import BaseDataElement

__all__ = ["LossMeter", "split_losses"]


def split_losses(outputs: Any) -> tuple[Any, Mapping[str, Any]]:
    """Predictions without the losses that a model gave with them, and those losses.

    A model may return ``(predictions, losses)``, where `losses` is a mapping of numbers or tensors of which a name
    contains ``loss``; or a list of data elements of which the last holds nothing but ``loss``.

    Args:
        outputs: what the model predicted for a batch.

    Returns:
        The predictions, and the losses by name; an empty mapping where there are none.

    Examples:
        >>> split_losses(([{"label": 1}], {"loss_cls": 0.5}))
        ([{'label': 1}], {'loss_cls': 0.5})
        >>> split_losses([BaseDataElement(label=1), BaseDataElement(loss=0.5)])[1]
        {'loss': 0.5}
        >>> split_losses([{"label": 1}])
        ([{'label': 1}], {})
    """
    if isinstance(outputs, tuple) and len(outputs) == 2 and _are_losses(outputs[1]):
        return outputs
    last = outputs[-1] if isinstance(outputs, list) and outputs else None
    if isinstance(last, BaseDataElement) and list(last.keys()) == ["loss"]:
        losses = last.get("loss")
        return outputs[:-1], losses if isinstance(losses, Mapping) else {"loss": losses}
    return outputs, {}


class LossMeter:
    """Mean of each loss over all samples of all ranks, read from the device only at the end.

    Where losses come without their total, ``loss``, it is the sum of those whose name contains ``loss``, as in training.
    A loss that some batches do not have is averaged over those that have it.

    Examples:
        >>> meter = LossMeter()
        >>> meter.update({"loss_a": torch.tensor(1.0), "loss_b": 2.0}, num_samples=1)
        >>> meter.update({"loss_a": torch.tensor(4.0), "loss_b": 2.0}, num_samples=2)
        >>> meter.compute()
        {'loss_a': 3.0, 'loss_b': 2.0, 'loss': 5.0}
    """

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._num_samples: dict[str, int] = {}

    def update(self, losses: Mapping[str, Any], num_samples: int = 1) -> None:
        """Adds the losses of a batch, without asking the device.

        Args:
            losses: by name; a number, a tensor (its mean counts) or a list of such (their sum counts).
            num_samples: of the batch, the weight of its losses in the mean.

        Raises:
            TypeError: a loss is something else.
        """
        means = {name: _scalar(name, loss) for name, loss in losses.items()}
        parts = [mean for name, mean in means.items() if "loss" in name]
        if parts and "loss" not in means:
            means["loss"] = _together(parts).sum()
        for name, mean in means.items():
            total = mean * num_samples
            self._sums[name] = self._sums[name] + total if name in self._sums else total
            self._num_samples[name] = self._num_samples.get(name, 0) + num_samples

    def clear(self) -> None:
        """Forgets everything."""
        self._sums, self._num_samples = {}, {}

    def compute(self) -> dict[str, float]:
        """Means by name, the same on all ranks, which all have to call it; afterwards the meter is empty again."""
        totals: dict[str, tuple[float, int]] = {}
        for of_rank in all_gather_object(self._read()):
            for name, (total, num_samples) in of_rank.items():
                before = totals.get(name, (0.0, 0))
                totals[name] = before[0] + total, before[1] + num_samples
        self.clear()
        return {name: total / num_samples for name, (total, num_samples) in totals.items() if num_samples}

    def _read(self) -> dict[str, tuple[float, int]]:
        if not self._sums:
            return {}
        sums = _together(list(self._sums.values())).tolist()
        return {name: (total, self._num_samples[name]) for name, total in zip(self._sums, sums, strict=True)}


def _are_losses(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and any("loss" in str(name) for name in value)
        and all(isinstance(loss, torch.Tensor | list | tuple | int | float) for loss in value.values())
    )


def _scalar(name: str, loss: Any) -> torch.Tensor:
    """A loss as one number: tensors are averaged, the parts of a list are summed."""
    if isinstance(loss, torch.Tensor):
        # Not every accelerator has double precision.
        dtype = torch.float64 if loss.device.type == "cpu" else torch.float32
        return loss.detach().to(dtype).mean()
    if isinstance(loss, list | tuple):
        return _together([_scalar(name, part) for part in loss]).sum() if loss else _scalar(name, 0.0)
    if isinstance(loss, int | float):
        return torch.tensor(float(loss), dtype=torch.float64)
    raise TypeError(f"the loss {name!r} must be a number, a tensor or a list of tensors, not {type(loss).__name__}")


def _together(values: list[torch.Tensor]) -> torch.Tensor:
    """The values as one tensor, on the accelerator where one of them lies there: plain numbers come as CPU tensors."""
    target = next((value for value in values if value.device.type != "cpu"), values[0])
    return torch.stack([value.to(target.device, target.dtype) for value in values])
