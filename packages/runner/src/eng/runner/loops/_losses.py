"""Losses during validation: found in what the model returns, or computed, and averaged over samples and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eng.dist import all_reduce


def split_losses(outputs: Any) -> tuple[Any, Mapping[str, Any]]:
    """Predictions apart from losses.

    A model may return ``(predictions, losses)``, with a mapping of which a key contains ``loss``, or a list of data
    samples of which the last holds nothing but ``loss``.
    """
    if isinstance(outputs, tuple) and len(outputs) == 2 and _are_losses(outputs[1]):
        return outputs
    last = outputs[-1] if isinstance(outputs, list) and outputs else None
    if last is not None and hasattr(last, "all_keys") and list(last.keys()) == ["loss"]:
        return outputs[:-1], last.loss if isinstance(last.loss, Mapping) else {"loss": last.loss}
    return outputs, {}


def _are_losses(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and any("loss" in str(key) for key in value)
        and all(isinstance(item, (torch.Tensor, list, tuple, float)) for item in value.values())
    )


def compute_losses(model: nn.Module, data_batch: Any) -> Mapping[str, Any]:
    """The losses of ``model`` in ``mode="loss"``, in evaluation mode and without gradients."""
    bare: Any = getattr(model, "module", model)
    data = bare.data_preprocessor(data_batch, False)
    losses: Mapping[str, Any] = bare._run_forward(data, mode="loss")  # noqa: SLF001  - the model's own contract
    return losses


class LossAverage:
    """Means over samples, summed on the device and read once at the end."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._samples = 0

    def clear(self) -> None:
        """Forgets everything."""
        self._sums, self._samples = {}, 0

    def add(self, losses: Mapping[str, Any], data_batch: Any) -> None:
        """Takes in the losses of a batch, each a mean over its samples."""
        if not losses:
            return
        count = count_samples(data_batch)
        self._samples += count
        total: Any = 0.0
        for name, value in losses.items():
            mean = _mean(value)
            self._add(name, mean * count)
            if "loss" in name:
                total = total + mean * count
        if "loss" not in losses:
            self._add("loss", total)

    def averages(self) -> dict[str, float]:
        """Means over the samples of all ranks; empty where there were no losses."""
        if not self._sums:
            return {}
        packed = torch.stack([*self._sums.values(), self._sums["loss"].new_tensor(float(self._samples))])
        all_reduce(packed, op="sum")
        *sums, samples = packed.tolist()
        return {name: value / samples for name, value in zip(self._sums, sums, strict=True)}

    def _add(self, name: str, value: torch.Tensor) -> None:
        value = value.detach().double() if value.device.type == "cpu" else value.detach().float()
        self._sums[name] = self._sums[name] + value if name in self._sums else value


def _mean(value: Any) -> torch.Tensor:
    if isinstance(value, (list, tuple)):
        return torch.stack([_mean(item) for item in value]).sum()
    return torch.as_tensor(value, dtype=torch.float32).mean() if not isinstance(value, torch.Tensor) else value.mean()


def count_samples(data_batch: Any) -> int:
    """Samples in a batch.

    As for a model's ``forward``, a list or tuple holds arguments, each with all samples; a list of anything else, such
    as dictionaries, holds the samples.
    """
    if isinstance(data_batch, Mapping):
        return next((_length(value) for value in data_batch.values()), 1)
    if isinstance(data_batch, (list, tuple)) and data_batch and isinstance(data_batch[0], (torch.Tensor, list, tuple)):
        return _length(data_batch[0])
    return _length(data_batch)


def _length(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return len(value) if value.dim() else 1
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else 1
