"""ReduceOnPlateauParamScheduler: lowers a hyperparameter when a metric stops improving."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from eng.logging.metric_values import as_number
from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.optim.errors import MissingValueError, OptimTypeError, ScheduleError
from eng.optim.optimizer.base import BaseOptimWrapper
from eng.registry import PARAM_SCHEDULERS

from ._driver import INF, OptimizerType, _detached, _ParamScheduler

logger = logging.getLogger(__name__)


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by ``factor`` when a validation metric has stopped improving.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        monitor: name of the validation metric. Defaults to ``"loss"``.
        rule: ``"less"`` (default) if a lower metric is better, ``"greater"`` if a higher metric is better.
        factor: each reduction multiplies the hyperparameter by this number, which is below 1. Defaults to 0.1.
        patience: number of validations without an improvement in a row that are tolerated; one more such validation
            leads to a reduction. Defaults to 10.
        threshold: smallest change of the metric that counts as an improvement. Defaults to 1e-4.
        threshold_rule: ``"rel"`` (default): ``threshold`` is a fraction of the best metric so far; ``"abs"``:
            ``threshold`` has the unit of the metric.
        cooldown: number of validations after a reduction that do not count against ``patience``. Defaults to 0.
        min_value: lowest value of the hyperparameter, or a list with the lowest value for each parameter group.
            Defaults to 0.
        eps: a reduction that would lower the hyperparameter by ``eps`` or less is not made. Defaults to 1e-8.
        begin: number of completed training epochs from which on validations count. Defaults to 0.
        end: number of completed training epochs from which on validations do not count any more. Defaults to no end.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: must be True, because ``begin`` and ``end`` are numbers of epochs.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: must be ``"epoch"`` or None.

    Raises:
        ScheduleError: an argument is out of its range.
    """

    need_val_args = True

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        monitor: str = "loss",
        rule: str = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: str = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self._attach(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)
        if not self.by_epoch:
            raise ScheduleError(f"{type(self).__name__} counts validations: by_epoch must be True", "by_epoch")
        self._check(rule, factor, threshold, threshold_rule)
        self.monitor = monitor
        self.rule = rule
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_rule = threshold_rule
        self.cooldown = cooldown
        self.eps = eps
        self.min_values = self._lowest(min_value)
        self.best = -math.inf
        if rule == "less":
            self.best = math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._global_step = 0
        self._last_value = self._present()

    def _check(self, rule: str, factor: float, threshold: float, threshold_rule: str) -> None:
        """Raises a ScheduleError if the factor of a reduction, or an argument that compares metrics, is invalid."""
        name = type(self).__name__
        if factor >= 1.0:
            raise ScheduleError(f"{name}: factor must be below 1, got {factor}", "factor")
        if threshold < 0:
            raise ScheduleError(f"{name}: threshold must be 0 or more, got {threshold}", "threshold")
        for argument, value, known in (
            ("rule", rule, ("less", "greater")),
            ("threshold_rule", threshold_rule, ("rel", "abs")),
        ):
            if value not in known:
                raise ScheduleError(f"{name}: unknown {argument} {value!r}{suggest(value, known)}", argument)

    def _lowest(self, min_value: float | Sequence[float]) -> list[float]:
        """Returns the lowest allowed value of the hyperparameter for each parameter group.

        ``min_value`` is one number for all groups, or a list with a number per group of the optimizer.
        """
        count = len(self.optimizer.param_groups)
        if not isinstance(min_value, (list, tuple)):
            return [min_value] * count  # type: ignore[list-item]  # a sequence is a list or a tuple here
        bare = self.optimizer
        if isinstance(bare, BaseOptimWrapper):
            bare = bare.optimizer
        if len(min_value) != len(bare.param_groups):
            raise ScheduleError(
                f"{type(self).__name__}: min_value has {counted(len(min_value), 'value')} for "
                f"{counted(len(bare.param_groups), 'parameter group')}",
                "min_value",
            )
        # The last group of an optimizer wrapper may be its base_param_settings, for which the user gives no lowest
        # value. It gets the lowest value of the optimizer's last group.
        return [*min_value, *[min_value[-1]] * (count - len(min_value))]

    def step(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Counts an epoch or a validation; a validation reduces the hyperparameter if the metric has stopped improving.

        Args:
            metrics: metrics of a validation by name. None (default) counts a completed training epoch, for ``begin``
                and ``end``.

        Raises:
            OptimTypeError: ``metrics`` is not a mapping (a TypeError).
            MissingValueError: the monitored metric is missing (a KeyError).
        """
        if metrics is None:
            self._global_step += 1
            return
        if not isinstance(metrics, Mapping):
            raise OptimTypeError(
                f"{type(self).__name__}.step takes metrics by name, not {type(metrics).__name__}: {metrics!r}"
            )
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._follow(metrics)
        self._last_value = [_detached(value) for value in self._present()]

    def _follow(self, metrics: Mapping[str, Any]) -> None:
        """Compares the metric of a validation with the best metric, and reduces the hyperparameter if it is time.

        More than ``patience`` validations without an improvement in a row lead to a reduction, and start the cooldown.
        """
        if metrics.get(self.monitor) is None:
            raise MissingValueError(
                f"{type(self).__name__} monitors {self.monitor!r}, which the validation does not give"
                f"{suggest(self.monitor, metrics)}"
            )
        metric = float(as_number(self.monitor, metrics[self.monitor]))
        if self._is_better(metric, self.best):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _reduce(self) -> None:
        """Multiplies the hyperparameter of each group by ``factor``, unless the change would be ``eps`` or less."""
        present = self._present()
        # A parameter group that was added during training gets the lowest allowed value of the last group.
        self.min_values += self.min_values[-1:] * (len(present) - len(self.min_values))
        reduced = []
        for old, new in zip(present, self._get_value(), strict=True):
            if float(old) - new > self.eps:
                reduced.append(new)
            else:
                reduced.append(old)
        self._write(self.optimizer.param_groups, reduced)

    def _get_value(self) -> list[Any]:
        return [
            max(float(value) * self.factor, low) for value, low in zip(self._present(), self.min_values, strict=True)
        ]

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Logs the hyperparameter's value in a parameter group, with the number of the validation.

        See :meth:`_ParamScheduler.print_value` for the arguments.
        """
        if is_verbose:
            logger.info(
                "%s of parameter group %d is now %.4e, after validation %d",
                self.param_name,
                group,
                value,
                self.last_step,
            )

    def _is_better(self, metric: float, best: float) -> bool:
        """Whether a metric improves on the best metric so far by more than the threshold.

        ``best`` is infinite before the first validation, which always counts as an improvement.
        """
        margin = self.threshold
        if self.threshold_rule == "rel":
            margin = self.threshold * best
        if math.isinf(best):
            margin = 0.0
        if self.rule == "less":
            return metric < best - margin
        return metric > best + margin
