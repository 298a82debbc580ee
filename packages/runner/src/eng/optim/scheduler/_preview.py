"""Preview of schedules: steps the schedulers through a run without training, and records learning rate and momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ._groups import follows_metric


@dataclass
class Preview:
    """The learning rates and momenta that the schedulers of an optimizer give over a run.

    Attributes:
        iterations: the iterations at which values were recorded.
        lr: for each parameter group a list of its learning rates, one per entry of ``iterations``.
        momentum: for each parameter group a list of its momenta, one per entry of ``iterations``; the values are 0 if
            the optimizer has no momentum.
        labels: for each parameter group a text that names its optimizer or parameters; empty with a single group.
    """

    iterations: list[int] = field(default_factory=list)
    lr: list[list[float]] = field(default_factory=list)
    momentum: list[list[float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def curves(self, values: list[list[float]]) -> list[tuple[list[float], int]]:
        """Returns (curve, count) pairs: each distinct curve, with the number of parameter groups that follow the curve.

        Args:
            values: the attribute ``lr`` or ``momentum``, with one curve per parameter group.
        """
        counted: dict[tuple[float, ...], int] = {}
        for curve in values:
            counted[tuple(curve)] = counted.get(tuple(curve), 0) + 1
        return [(list(curve), count) for curve, count in counted.items()]

    def labels_of(self, values: list[list[float]], curve: list[float]) -> list[str]:
        """Returns the labels of the parameter groups that follow a curve.

        Args:
            values: the attribute ``lr`` or ``momentum``, with one curve per parameter group.
            curve: a curve that :meth:`curves` returned for ``values``.
        """
        pairs = zip(values, self.labels, strict=False)
        return list(dict.fromkeys(label for rates, label in pairs if rates == curve))


def preview(
    optim_wrapper: Any,
    schedulers: Sequence[Any],
    *,
    max_iters: int,
    epoch_length: int | None = None,
    accumulative_counts: int = 1,
    points: int = 2000,
) -> Preview:
    """Records learning rates and momenta over a run, by stepping the schedulers without training.

    Afterwards the schedulers are at the end of the run, so they cannot be used for training. Schedulers that depend on
    a metric are not stepped.

    Args:
        optim_wrapper: the optimizer wrapper whose parameter groups the schedulers change.
        schedulers: the schedulers that change the wrapper's parameter groups.
        max_iters: number of iterations of the run.
        epoch_length: number of iterations of an epoch; None if no scheduler counts epochs.
        accumulative_counts: number of iterations per optimizer update.
        points: approximate number of recorded iterations; the last iteration is always recorded.

    Examples:
        >>> import torch
        >>> from eng.optim import LinearLR, OptimWrapper
        >>> wrapper = OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0))
        >>> warm_up = LinearLR(wrapper, start_factor=0.25, by_epoch=False, end=4)
        >>> [round(rate, 2) for rate in preview(wrapper, [warm_up], max_iters=6).lr[0]]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    counting = [scheduler for scheduler in schedulers if not follows_metric(scheduler)]
    seen = Preview()
    every = max(1, max_iters // points)
    for iteration in range(max_iters):
        if iteration % every == 0 or iteration == max_iters - 1:
            _record_values(seen, optim_wrapper, iteration)
        updated = (iteration + 1) % accumulative_counts == 0
        epoch_ended = epoch_length is not None and (iteration + 1) % epoch_length == 0
        for scheduler in counting:
            unit = _unit_of(scheduler)
            if unit == "iter" or (unit == "update" and updated) or (unit == "epoch" and epoch_ended):
                scheduler.step()
    return seen


def _unit_of(scheduler: Any) -> Any:
    if hasattr(scheduler, "by"):
        return scheduler.by
    if scheduler.by_epoch:
        return "epoch"
    return "iter"


def _record_values(seen: Preview, optim_wrapper: Any, iteration: int) -> None:
    rates, momenta = optim_wrapper.get_lr()["lr"], optim_wrapper.get_momentum()["momentum"]
    seen.iterations.append(iteration)
    for store, values in ((seen.lr, rates), (seen.momentum, momenta)):
        store.extend([] for _ in range(len(values) - len(store)))
        for curve, value in zip(store, values, strict=True):
            curve.append(float(value))
