"""Validation losses: separate them from the predictions of a model, and average them over samples and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eng.dist import all_gather_object
from eng.structures import BaseDataElement

__all__ = ["LossMeter", "split_losses"]


def split_losses(outputs: Any) -> tuple[Any, Mapping[str, Any]]:
    """Separates the output of a model's validation step into predictions and losses.

    A model may return ``(predictions, losses)``, where `losses` is a mapping of numbers or tensors and at least one
    name contains ``loss``; or a list of data elements, the last of which has ``loss`` as its only entry.

    Args:
        outputs: output of the model for a batch.

    Returns:
        the predictions, and the losses by name; an empty dict if the model returned no losses.

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
    if not isinstance(outputs, list) or not outputs:
        return outputs, {}
    last = outputs[-1]
    if not isinstance(last, BaseDataElement) or list(last.keys()) != ["loss"]:
        return outputs, {}
    losses = last.get("loss")
    if not isinstance(losses, Mapping):
        losses = {"loss": losses}
    return outputs[:-1], losses


class LossMeter:
    """Averages the losses of a validation over all samples of all ranks.

    Sums stay on the device until :meth:`compute`, so that validation does not wait for the device after each batch. If
    a batch has no entry ``loss``, the sum of all entries whose names contain ``loss`` is added as ``loss``, as in
    training. A loss that only some batches have is averaged over the samples of these batches.

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
        """Adds the losses of a batch to the sums, without waiting for the device.

        Args:
            losses: losses by name: numbers, tensors (their mean is taken), or lists of these (their sum is taken).
            num_samples: number of samples in the batch, the weight of its losses in the average.

        Raises:
            TypeError: a loss is neither a number, a tensor nor a list.
        """
        means = {name: _scalar(name, loss) for name, loss in losses.items()}
        parts = [mean for name, mean in means.items() if "loss" in name]
        if parts and "loss" not in means:
            means["loss"] = _together(parts).sum()
        for name, mean in means.items():
            total = mean * num_samples
            if name in self._sums:
                total = self._sums[name] + total
            self._sums[name] = total
            self._num_samples[name] = self._num_samples.get(name, 0) + num_samples

    def clear(self) -> None:
        """Removes the losses of all batches so far."""
        self._sums = {}
        self._num_samples = {}

    def compute(self) -> dict[str, float]:
        """Returns the average of each loss over the samples of all ranks, by name, and resets the meter.

        All ranks must call this method.
        """
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
    """Converts a loss to a tensor without dimensions: the mean of a tensor, or the sum of the losses in a list.

    Raises:
        TypeError: the loss is neither a number, a tensor nor a list.
    """
    if isinstance(loss, torch.Tensor):
        # Some accelerators do not support double precision, so it is used only on the CPU.
        dtype = torch.float32
        if loss.device.type == "cpu":
            dtype = torch.float64
        return loss.detach().to(dtype).mean()
    if isinstance(loss, list | tuple):
        if not loss:
            return _scalar(name, 0.0)
        return _together([_scalar(name, part) for part in loss]).sum()
    if isinstance(loss, int | float):
        return torch.tensor(float(loss), dtype=torch.float64)
    raise TypeError(f"the loss {name!r} must be a number, a tensor or a list of tensors, not {type(loss).__name__}")


def _together(values: list[torch.Tensor]) -> torch.Tensor:
    """Stacks tensors without dimensions to one vector.

    If one of the tensors is on an accelerator, the vector is too. The tensors of losses that are plain numbers are on
    the CPU, and are moved there.
    """
    target = next((value for value in values if value.device.type != "cpu"), values[0])
    return torch.stack([value.to(target.device, target.dtype) for value in values])
