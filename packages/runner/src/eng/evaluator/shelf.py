"""Accuracy, F1, mean squared error and perplexity, so that a first project needs no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from eng.registry import METRICS

from .batch_metric import BatchMetric, cpu

__all__ = ["F1", "Accuracy", "MeanSquaredError", "Perplexity"]


class _Sums(BatchMetric):
    """A metric whose state is sums, which add up over batches and ranks; vectors may grow."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sums: dict[str, torch.Tensor] = {}

    def add(self, **amounts: torch.Tensor) -> None:
        """Adds to sums by name, without asking the device."""
        for name, amount in amounts.items():
            total = self._sums.get(name)
            self._sums[name] = amount.detach() if total is None else _added(total, amount.detach())

    def __getitem__(self, name: str) -> torch.Tensor:
        """A sum in double precision, on the CPU; 0 before the first batch."""
        return self._sums.get(name, torch.zeros(())).cpu().double()

    def reset(self) -> None:
        """Forgets everything."""
        self._sums = {}

    def state(self) -> dict[str, torch.Tensor]:
        """The sums."""
        sums: dict[str, torch.Tensor] = cpu(self._sums)
        return sums

    def merge(self, states: list[dict[str, torch.Tensor]]) -> None:
        """Adds the sums of the ranks."""
        self.reset()
        for state in states:
            self.add(**state)


def _added(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.dim() == 1 and len(left) != len(right):
        size = max(len(left), len(right))
        left, right = (functional.pad(values, (0, size - len(values))) for values in (left, right))
    return left + right.to(left.device)


def _precise(values: torch.Tensor) -> torch.Tensor:
    # not every accelerator has double precision
    return values.double() if values.device.type == "cpu" else values.float()


class Accuracy(_Sums):
    """Share of samples whose label is among the best predictions.

    Args:
        topk: 1 (default), or several, such as ``(1, 5)``: ``accuracy`` is of 1, ``accuracy_top5`` of 5.
        ignore_index: label of samples that do not count.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`.
        keys: see :class:`BatchMetric`.

    Raises:
        ValueError: ``preds`` are labels, and ``topk`` is not 1; or shapes do not fit.

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
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.ignore_index = ignore_index

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds a batch.

        Args:
            preds: scores ``(N, C, ...)``, or labels ``(N, ...)``.
            target: labels ``(N, ...)``.

        Raises:
            ValueError: the shapes do not belong together, or ``topk`` needs scores and gets labels.
        """
        counts = torch.ones_like(target, dtype=torch.bool) if self.ignore_index is None else target != self.ignore_index
        self.add(samples=counts.sum())
        for k in self.topk:
            if preds.dim() == target.dim() + 1:
                best = preds.argmax(1, keepdim=True) if k == 1 else preds.topk(min(k, preds.shape[1]), dim=1).indices
                hits = (best == target.unsqueeze(1)).any(1)
            elif preds.shape == target.shape and k == 1:
                hits = preds == target
            else:
                raise ValueError(
                    f"accuracy of the best {k}: scores (N, C) are needed, got {tuple(preds.shape)} for targets of shape "
                    f"{tuple(target.shape)}"
                )
            self.add(**{f"hits{k}": (hits & counts).sum()})

    def compute(self) -> dict[str, float]:
        """The shares by name."""
        names = {k: self.name if k == 1 else f"{self.name}_top{k}" for k in self.topk}
        return {name: (self[f"hits{k}"] / self["samples"]).item() for k, name in names.items()}


class F1(_Sums):
    """F1 score: the harmonic mean of precision and recall.

    Args:
        average: ``"macro"`` (default): the mean over classes that occur; ``"micro"``: over all samples; ``"binary"``: of class
            1; ``"none"``: of each class.
        threshold: from which on a score ``(N,)`` in place of ``(N, C)`` means class 1.
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
        """Adds a batch.

        Args:
            preds: scores ``(N, C, ...)``, scores of class 1 ``(N, ...)``, or labels ``(N, ...)``.
            target: labels ``(N, ...)``.
        """
        least = 2
        if preds.dim() == target.dim() + 1:
            least, preds = preds.shape[1], preds.argmax(1)
        elif preds.is_floating_point():
            preds = (preds >= self.threshold).long()
        preds, target = preds.flatten().long(), target.flatten().long()
        hits = torch.bincount(target[preds == target], minlength=least)
        predicted, present = (torch.bincount(values, minlength=least) for values in (preds, target))
        self.add(hits=hits, predicted=predicted, present=present)

    def compute(self) -> Any:
        """The score, or a list with one for each class."""
        hits, sizes = self["hits"], self["predicted"] + self["present"]
        if self.average == "micro":
            return (2 * hits.sum() / sizes.sum()).item()
        scores = torch.where(sizes > 0, 2 * hits / sizes.clamp(min=1), 0.0)
        if self.average == "binary":
            return scores[1].item()
        return scores[sizes > 0].mean().item() if self.average == "macro" else scores.tolist()


class MeanSquaredError(_Sums):
    """Mean of the squared differences between predictions and targets.

    Args:
        squared: False gives its root.
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
        """Adds a batch.

        Args:
            preds: any shape.
            target: the same shape; a last dimension of 1 in one of them may be missing in the other.

        Raises:
            ValueError: the shapes differ.
        """
        if preds.numel() != target.numel() or preds.squeeze(-1).shape != target.squeeze(-1).shape:
            raise ValueError(f"preds {tuple(preds.shape)} and target {tuple(target.shape)} differ in shape")
        difference = _precise(preds.reshape(-1)) - _precise(target.reshape(-1))
        self.add(total=difference.square().sum(), values=torch.tensor(preds.numel()))

    def compute(self) -> float:
        """The mean of the squared errors, or its square root where ``squared`` is False."""
        mean = self["total"] / self["values"]
        return (mean if self.squared else mean.sqrt()).item()


class Perplexity(_Sums):
    """Exponential of the mean negative log-likelihood per token.

    Args:
        ignore_index: target of tokens that do not count. -100 by default.
        shift: whether position ``t`` predicts token ``t + 1``, as of causal language models whose labels are their inputs.
            False by default.
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
        """Adds a batch.

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
        """The perplexity."""
        return (self["total"] / self["tokens"]).exp().item()


# Their names give way to a user's own class of the same name.
for _class in (Accuracy, F1, MeanSquaredError, Perplexity):
    METRICS.register_fallback(_class.__name__, _class)
