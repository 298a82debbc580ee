"""What schedulers will do over a whole run, found by letting them do it without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ._groups import follows_metric


@dataclass
class Preview:
    """Values over a run.

    Attributes:
        iterations: at whose beginning each value is in force.
        lr: for each parameter group its learning rates, one for each of ``iterations``.
        momentum: the same for the momentum, 0 where the optimizer has none.
        labels: for each parameter group what it holds; empty where there is only one group.
    """

    iterations: list[int] = field(default_factory=list)
    lr: list[list[float]] = field(default_factory=list)
    momentum: list[list[float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def curves(self, values: list[list[float]]) -> list[tuple[list[float], int]]:
        """The curves that differ, each with the number of groups that follow it."""
        counted: dict[tuple[float, ...], int] = {}
        for curve in values:
            counted[tuple(curve)] = counted.get(tuple(curve), 0) + 1
        return [(list(curve), count) for curve, count in counted.items()]

    def labels_of(self, values: list[list[float]], curve: list[float]) -> list[str]:
        """What the groups hold that follow a curve.

        Args:
            values: ``lr`` or ``momentum``.
            curve: one of :meth:`curves`.
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
    """Learning rate and momentum over a run.

    The schedulers are moved to the end of the run. Those that follow a metric stay where they are.

    Args:
        optim_wrapper: whose groups the schedulers move.
        schedulers: as a Runner holds them.
        max_iters: iterations of the run.
        epoch_length: iterations of an epoch; None where nothing counts epochs.
        accumulative_counts: iterations for each optimizer update.
        points: at how many iterations values are noted, about; the last is always among them.

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
            _note(seen, optim_wrapper, iteration)
        updated = (iteration + 1) % accumulative_counts == 0
        epoch_ended = epoch_length is not None and (iteration + 1) % epoch_length == 0
        for scheduler in counting:
            unit = getattr(scheduler, "by", "epoch" if scheduler.by_epoch else "iter")
            if unit == "iter" or (unit == "update" and updated) or (unit == "epoch" and epoch_ended):
                scheduler.step()
    return seen


def _note(seen: Preview, optim_wrapper: Any, iteration: int) -> None:
    rates, momenta = optim_wrapper.get_lr()["lr"], optim_wrapper.get_momentum()["momentum"]
    seen.iterations.append(iteration)
    for store, values in ((seen.lr, rates), (seen.momentum, momenta)):
        store.extend([] for _ in range(len(values) - len(store)))
        for curve, value in zip(store, values, strict=True):
            curve.append(float(value))
