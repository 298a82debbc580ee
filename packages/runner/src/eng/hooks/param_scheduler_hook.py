"""ParamSchedulerHook: steps the parameter schedulers, which change the learning rate and other hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eng.logging.metric_values import MetricReader
from eng.optim.scheduler._groups import follows_metric, groups_of
from eng.optim.scheduler.param_scheduler import _ParamScheduler
from eng.registry import HOOKS

from .hook import DataBatch, Hook
from .view import CountsUnits, RunnerView, provides


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Steps each parameter scheduler in its unit: after each iteration, epoch or optimizer update.

    A scheduler that follows a validation metric (``need_val_args``) is stepped after each validation instead, with the
    metrics. If it is a scheduler of eng, its ``step()`` is also called after each training epoch, as in MMEngine,
    without metrics: this call counts the epochs for ``begin`` and ``end``.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._per_iter: list[Any] | None = None
        self._seen_updates: dict[int, int] = {}
        self._readers: dict[int, MetricReader] = {}

    def before_train(self, runner: RunnerView) -> None:
        """Selects the schedulers that count iterations or updates, so that ``after_train_iter`` need not check all."""
        self._per_iter = [
            s for s in _built_schedulers(runner.param_schedulers) if not s.by_epoch and not follows_metric(s)
        ]
        by_update = [s for s in self._per_iter if provides(s, CountsUnits) and s.by == "update"]
        self._seen_updates = {id(s): _updates(s, runner) for s in by_update}

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Steps the schedulers that count iterations, and after an optimizer update those that count updates."""
        if self._per_iter is None:
            self.before_train(runner)
        for scheduler in self._per_iter or ():
            if id(scheduler) not in self._seen_updates or self._made_update(scheduler, runner):
                scheduler.step()

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Steps the schedulers that count epochs; a scheduler of eng that follows a metric only counts the epoch."""
        for scheduler in _built_schedulers(runner.param_schedulers):
            if scheduler.by_epoch and (not follows_metric(scheduler) or isinstance(scheduler, _ParamScheduler)):
                scheduler.step()

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Steps the schedulers that follow a validation metric, unless the validation lacks the monitored metric."""
        if metrics is None:
            return
        for scheduler in _built_schedulers(runner.param_schedulers):
            if not follows_metric(scheduler):
                continue
            readable = self._monitored(scheduler, metrics)
            if readable is not None:
                scheduler.step(readable)

    def _monitored(self, scheduler: Any, metrics: dict[str, float]) -> dict[str, Any] | None:
        """Returns the metrics, with the one that the scheduler monitors converted to a Python number.

        If the monitored metric is missing, returns None and warns once.
        """
        name = getattr(scheduler, "monitor", None)
        if name is None:
            # A scheduler of another library may have no `monitor`; it gets all metrics unchanged.
            return metrics
        reader = self._readers.setdefault(id(scheduler), MetricReader(type(scheduler).__name__))
        value = reader.read(metrics, name)
        if value is None:
            return None
        return {**metrics, name: value}

    def _made_update(self, scheduler: Any, runner: RunnerView) -> bool:
        """Whether the scheduler's optimizer made an update since the last call.

        False for an iteration that only accumulates gradients.
        """
        before, now = self._seen_updates[id(scheduler)], _updates(scheduler, runner)
        self._seen_updates[id(scheduler)] = now
        return now > before


def _updates(scheduler: Any, runner: RunnerView) -> int:
    """Returns the number of updates that the scheduler's optimizer wrapper has made.

    If the scheduler has a plain optimizer of torch, the run's optimizer wrapper is asked instead.
    """
    if hasattr(scheduler.optimizer, "update_count"):
        wrapper = scheduler.optimizer
    else:
        wrapper = runner.optim_wrapper
    return int(wrapper.update_count)


def _built_schedulers(schedulers: Any) -> Iterator[Any]:
    """Yields the parameter schedulers that are built; a run that only validates leaves them as configs."""
    for group in groups_of(schedulers):
        yield from (scheduler for scheduler in group if not isinstance(scheduler, dict))
