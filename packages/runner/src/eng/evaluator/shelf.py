"""Metrics that need no other library: accuracy, F1, mean squared error and perplexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from eng.registry import METRICS

from .batch_metric import BatchMetric, cpu

__all__ = ["F1", "Accuracy", "MeanSquaredError", "Perplexity"]


class _Sums(BatchMetric):
    """Base class of metrics whose state is a dict of sums: over the batches of this rank, and finally over all ranks.

    A sum may be a vector, for example one number per class. It becomes longer when a batch has further classes.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sums: dict[str, torch.Tensor] = {}

    def add(self, **amounts: torch.Tensor) -> None:
        """Adds each amount to the sum with the same name.

        The sums stay on the device of the amounts, so that the CPU does not wait for the device.
        """
        for name, amount in amounts.items():
            total = amount.detach()
            if name in self._sums:
                total = _add(self._sums[name], total)
            self._sums[name] = total

    def __getitem__(self, name: str) -> torch.Tensor:
        """Returns the sum `name` in double precision on the CPU; 0 before the first batch."""
        return self._sums.get(name, torch.zeros(())).cpu().double()

    def reset(self) -> None:
        """Sets all sums to 0."""
        self._sums = {}

    def state(self) -> dict[str, torch.Tensor]:
        """Returns this rank's sums on the CPU."""
        sums: dict[str, torch.Tensor] = cpu(self._sums)
        return sums

    def merge(self, states: list[dict[str, torch.Tensor]]) -> None:
        """Replaces this rank's sums by the totals over all ranks, whose sums are in ``states``."""
        self.reset()
        for state in states:
            self.add(**state)


def _add(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Adds two tensors on the device of `left`; if two vectors differ in length, the shorter is padded with zeros."""
    if left.dim() == 1 and len(left) != len(right):
        size = max(len(left), len(right))
        left, right = (functional.pad(values, (0, size - len(values))) for values in (left, right))
    return left + right.to(left.device)


def _precise(values: torch.Tensor) -> torch.Tensor:
    # Some accelerators do not support double precision, so it is used only on the CPU.
    if values.device.type == "cpu":
        return values.double()
    return values.float()


class Accuracy(_Sums):
    """Fraction of samples whose label is among the ``k`` classes with the highest scores.

    Args:
        topk: ``k``: 1 (default), or several numbers such as ``(1, 5)``, which give ``accuracy`` and ``accuracy_top5``.
        ignore_index: label of samples that are not counted; None (default) counts all samples.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`.
        keys: see :class:`BatchMetric`.

    Raises:
        ValueError: ``preds`` are labels instead of scores although ``topk`` is not 1, or shapes do not match.

    Examples:
        >>> metric = Accuracy()
        >>> metric.update(preds=torch.tensor([[0.1, 0.9], [0.8, 0.2]]), target=torch.tensor([1, 1]))
        >>> metric.compute()
        {'accuracy': 0.5}
    """

    def __init__(
        self,
        topk: int | Sequence[int] = 1,
        ignore_index: int | None = None,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(prefix=prefix, name=name, keys=keys)
        if isinstance(topk, int):
            topk = (topk,)
        self.topk = tuple(topk)
        self.ignore_index = ignore_index

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds the predictions and labels of a batch to the sums.

        Args:
            preds: scores ``(N, C, ...)``, or labels ``(N, ...)``.
            target: labels ``(N, ...)``.

        Raises:
            ValueError: the shapes do not match, or ``topk`` needs scores but ``preds`` are labels.
        """
        counted = torch.ones_like(target, dtype=torch.bool)
        if self.ignore_index is not None:
            counted = target != self.ignore_index
        self.add(samples=counted.sum())
        has_scores = preds.dim() == target.dim() + 1
        for k in self.topk:
            if has_scores and k == 1:
                hits = preds.argmax(1) == target
            elif has_scores:
                best = preds.topk(min(k, preds.shape[1]), dim=1).indices
                hits = (best == target.unsqueeze(1)).any(1)
            elif preds.shape == target.shape and k == 1:
                hits = preds == target
            else:
                raise ValueError(
                    f"accuracy of the best {k}: scores (N, C) are needed, got {tuple(preds.shape)} for targets of shape "
                    f"{tuple(target.shape)}"
                )
            self.add(**{f"hits{k}": (hits & counted).sum()})

    def compute(self) -> dict[str, float]:
        """Returns the accuracy for each ``k`` by name."""
        values = {}
        for k in self.topk:
            name = f"{self.name}_top{k}"
            if k == 1:
                name = self.name
            values[name] = (self[f"hits{k}"] / self["samples"]).item()
        return values


class F1(_Sums):
    """F1 score: the harmonic mean of precision and recall.

    Args:
        average: ``"macro"`` (default): mean of the scores of all classes that occur; ``"micro"``: score over the
            samples of all classes; ``"binary"``: score of class 1; ``"none"``: a list with the score of each class.
        threshold: the lowest score that counts as class 1. It is used only for predictions ``(N,)`` that are scores of
            class 1.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`.
        keys: see :class:`BatchMetric`.

    Raises:
        ValueError: ``average`` is unknown.

    Examples:
        >>> metric = F1(average="binary")
        >>> metric.update(preds=torch.tensor([1, 1, 0]), target=torch.tensor([1, 0, 0]))
        >>> round(metric.compute(), 4)
        0.6667
    """

    def __init__(
        self,
        average: str = "macro",
        threshold: float = 0.5,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(prefix=prefix, name=name, keys=keys)
        if average not in ("macro", "micro", "binary", "none"):
            raise ValueError(f"average is 'macro', 'micro', 'binary' or 'none', not {average!r}")
        self.average = average
        self.threshold = threshold

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds the predictions and labels of a batch to the sums.

        Args:
            preds: scores ``(N, C, ...)``, scores of class 1 ``(N, ...)``, or labels ``(N, ...)``.
            target: labels ``(N, ...)``.
        """
        num_classes = 2
        if preds.dim() == target.dim() + 1:
            num_classes = preds.shape[1]
            preds = preds.argmax(1)
        elif preds.is_floating_point():
            preds = (preds >= self.threshold).long()
        preds, target = preds.flatten().long(), target.flatten().long()
        hits = torch.bincount(target[preds == target], minlength=num_classes)
        predicted = torch.bincount(preds, minlength=num_classes)
        present = torch.bincount(target, minlength=num_classes)
        self.add(hits=hits, predicted=predicted, present=present)

    def compute(self) -> Any:
        """Returns the F1 score, or with ``average="none"`` a list with the score of each class."""
        hits, sizes = self["hits"], self["predicted"] + self["present"]
        if self.average == "micro":
            return (2 * hits.sum() / sizes.sum()).item()
        scores = torch.where(sizes > 0, 2 * hits / sizes.clamp(min=1), 0.0)
        if self.average == "binary":
            return scores[1].item()
        if self.average == "macro":
            return scores[sizes > 0].mean().item()
        return scores.tolist()


class MeanSquaredError(_Sums):
    """Mean of the squared differences between predictions and targets.

    Args:
        squared: whether the metric is the mean squared error (True, the default) or its square root.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`.
        keys: see :class:`BatchMetric`.

    Examples:
        >>> metric = MeanSquaredError()
        >>> metric.update(preds=torch.tensor([1.0, 2.0]), target=torch.tensor([1.0, 4.0]))
        >>> metric.compute()
        2.0
    """

    def __init__(
        self,
        squared: bool = True,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(prefix=prefix, name=name, keys=keys)
        self.squared = squared

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds the squared errors of a batch to the sums.

        Args:
            preds: predictions of any shape.
            target: targets of the same shape; a last dimension of size 1 may be missing in ``preds`` or ``target``.

        Raises:
            ValueError: the shapes differ.
        """
        if preds.numel() != target.numel() or preds.squeeze(-1).shape != target.squeeze(-1).shape:
            raise ValueError(f"preds {tuple(preds.shape)} and target {tuple(target.shape)} differ in shape")
        difference = _precise(preds.reshape(-1)) - _precise(target.reshape(-1))
        self.add(total=difference.square().sum(), values=torch.tensor(preds.numel()))

    def compute(self) -> float:
        """Returns the mean of the squared errors, or its square root if ``squared`` is False."""
        mean = self["total"] / self["values"]
        if not self.squared:
            mean = mean.sqrt()
        return mean.item()


class Perplexity(_Sums):
    """Exponential of the mean negative log-likelihood per token.

    Args:
        ignore_index: target of tokens that are not counted. Defaults to -100.
        shift: whether the scores at position ``t`` predict the token at ``t + 1``, as for causal language models whose
            targets are their inputs. Defaults to False.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`.
        keys: see :class:`BatchMetric`.

    Examples:
        >>> metric = Perplexity()
        >>> metric.update(preds=torch.zeros(1, 3, 4), target=torch.tensor([[0, 1, 2]]))
        >>> round(metric.compute(), 6)
        4.0
    """

    def __init__(
        self,
        ignore_index: int = -100,
        shift: bool = False,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(prefix=prefix, name=name, keys=keys)
        self.ignore_index = ignore_index
        self.shift = shift

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds the negative log-likelihoods of a batch to the sums.

        Args:
            preds: logits or log-probabilities ``(N, T, V)``.
            target: tokens ``(N, T)``.
        """
        if self.shift:
            preds, target = preds[:, :-1], target[:, 1:]
        flat = _precise(preds.reshape(-1, preds.shape[-1]))
        target = target.reshape(-1)
        total = functional.cross_entropy(flat, target, ignore_index=self.ignore_index, reduction="sum")
        self.add(total=total, tokens=(target != self.ignore_index).sum())

    def compute(self) -> float:
        """Returns the perplexity over all tokens so far."""
        return (self["total"] / self["tokens"]).exp().item()


# Fallbacks, so that a class with one of these names in a user's project takes precedence.
for _class in (Accuracy, F1, MeanSquaredError, Perplexity):
    METRICS.register_fallback(_class.__name__, _class)
