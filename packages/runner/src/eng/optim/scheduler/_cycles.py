"""Schedules that go up and down: cosine with restarts, and one cycle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.optim.errors import ScheduleError
from eng.registry import PARAM_SCHEDULERS

from . import curves
from ._driver import INF, OptimizerType, _ParamScheduler


@PARAM_SCHEDULERS.register_module()
class CosineRestartParamScheduler(_ParamScheduler):
    """Lowers a hyperparameter along half a cosine in several cycles; each cycle begins at a starting value of its own.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        periods: length of each cycle in units.
        restart_weights: for each cycle its starting value, as a fraction of the hyperparameter's initial value.
            Defaults to (1,).
        eta_min: value of the hyperparameter at the end of each cycle.
        eta_min_ratio: value at the end of each cycle, as a fraction of the initial value; replaces ``eta_min``.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: not exactly one of ``eta_min`` and ``eta_min_ratio`` is given, or ``periods`` and
            ``restart_weights`` differ in length.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983.
    """

    _counted_in_units: ClassVar = {"periods": True}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        periods: list[float],
        restart_weights: Sequence[float] = (1,),
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        name = type(self).__name__
        if (eta_min is None) == (eta_min_ratio is None):
            raise ScheduleError(f"{name}: give either eta_min or eta_min_ratio", "eta_min")
        if len(periods) != len(restart_weights):
            raise ScheduleError(
                f"{name}: each period needs a restart weight, got {len(periods)} periods and "
                f"{len(restart_weights)} weights",
                "restart_weights",
            )
        self.periods = periods
        self.eta_min = eta_min
        self.eta_min_ratio = eta_min_ratio
        self.restart_weights = restart_weights
        self.cumulative_periods = list(accumulate(periods))
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def _get_value(self) -> list[Any]:
        """Returns the hyperparameter's value at the present step, for each parameter group.

        After the last cycle the values do not change any more.
        """
        cycle = self.get_position_from_periods(self.last_step, self.cumulative_periods)
        if cycle is None:
            return self._present()
        period = self.periods[cycle]
        weight = self.restart_weights[cycle]
        step = self.last_step - (self.cumulative_periods[cycle] - period)
        lowest = self.eta_min or 0.0
        values = []
        for value, base in zip(self._present(), self.base_values, strict=True):
            if self.eta_min_ratio is not None:
                lowest = base * self.eta_min_ratio
            values.append(curves.cosine_restart(value, base, step, period, lowest, weight))
        return values

    @staticmethod
    def get_position_from_periods(iteration: int, cumulative_periods: list[float]) -> int | None:
        """Returns the index of the cycle that a unit belongs to; None for units after the last cycle.

        Args:
            iteration: number of the unit, from 0.
            cumulative_periods: for each cycle the number of the first unit after the cycle.

        Examples:
            >>> position = CosineRestartParamScheduler.get_position_from_periods
            >>> position(50, [100, 200]), position(100, [100, 200]), position(200, [100, 200])
            (0, 1, None)
        """
        return next((index for index, end in enumerate(cumulative_periods) if iteration < end), None)


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(_ParamScheduler):
    """Raises the learning rate to ``eta_max``, and then lowers the rate far below its initial value, in one cycle.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter, which must be ``"lr"``.
        eta_max: highest learning rate, or a list with the highest learning rate of each parameter group. Defaults to 0.
        total_steps: length of the cycle in units. None (default) is ``end - begin``.
        pct_start: fraction of the cycle in which the learning rate rises. Defaults to 0.3.
        anneal_strategy: curve of the rise and fall: ``"cos"`` (default) is half a cosine, ``"linear"`` a line.
        div_factor: the initial learning rate is ``eta_max / div_factor``. Defaults to 25.
        final_div_factor: the last learning rate is the initial one divided by ``final_div_factor``. Defaults to 1e4.
        three_phase: whether the cycle has three phases: the rise, a fall to the initial learning rate in as many units
            as the rise, and a fall to the last learning rate. With False (default) one fall ends at the last rate.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: ``param_name`` is not ``"lr"``, or an argument is out of its range.

    Source: Smith & Topin 2018, arXiv:1708.07120.
    """

    _counted_in_units: ClassVar = {"total_steps": False}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        eta_max: float = 0,
        total_steps: float | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        _check_one_cycle(type(self).__name__, param_name, total_steps, pct_start, anneal_strategy)
        self.eta_max = eta_max
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        if total_steps is None:
            total_steps = end - begin
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.three_phase = three_phase
        self.turning_points = [float(pct_start * total_steps) - 1]
        if three_phase:
            self.turning_points.append(float(2 * pct_start * total_steps) - 2)
        self.turning_points.append(float(total_steps - 1))
        if last_step == -1:
            self._set_heights(optimizer)
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def begin_anew(self) -> None:
        """Restarts the cycle at its first step, and stores the cycle's learning rates in each parameter group again."""
        self._set_heights(self.optimizer)
        super().begin_anew()

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        last_eta_max = self._highest_values(1)[-1]
        for group in groups:
            # A parameter group without max_lr was added during training; it gets the eta_max of the last group.
            if "max_lr" not in group:
                self._set_height(group, last_eta_max)
        super()._set_base_values(groups)

    def _highest_values(self, count: int) -> Sequence[float]:
        if isinstance(self.eta_max, (list, tuple)):
            return self.eta_max
        return [self.eta_max] * count

    def _set_heights(self, optimizer: OptimizerType) -> None:
        """Stores the initial, highest and last learning rate of the cycle in each parameter group."""
        groups = optimizer.param_groups
        highest = self._highest_values(len(groups))
        if len(highest) != len(groups):
            raise ScheduleError(
                f"{type(self).__name__}: eta_max has {counted(len(highest), 'value')} for "
                f"{counted(len(groups), 'parameter group')}",
                "eta_max",
            )
        for group, highest_of_group in zip(groups, highest, strict=True):
            self._set_height(group, highest_of_group)

    def _set_height(self, group: dict[str, Any], highest: float) -> None:
        group["initial_lr"] = highest / self.div_factor
        group["max_lr"] = highest
        group["min_lr"] = group["initial_lr"] / self.final_div_factor

    def _get_value(self) -> list[Any]:
        """Returns the learning rate of each parameter group at the present step of the cycle."""
        if self.last_step > self.total_steps:
            raise ScheduleError(
                f"{type(self).__name__}: step {self.last_step + 1} of a cycle of {self.total_steps}; give total_steps "
                "the length of the run, or an end",
                "total_steps",
            )
        names = ["initial_lr", "max_lr", "min_lr"]
        if self.three_phase:
            names.insert(2, "initial_lr")
        return [
            curves.one_cycle(self.last_step, self.turning_points, [group[n] for n in names], self.anneal_strategy)
            for group in self.optimizer.param_groups
        ]


def _check_one_cycle(
    name: str, param_name: str, total_steps: float | None, pct_start: float, anneal_strategy: str
) -> None:
    """Raises a ScheduleError if an argument of a one-cycle schedule is out of its range; ``name`` is the class name."""
    if param_name != "lr":
        raise ScheduleError(f"{name} moves only the learning rate, 'lr', not {param_name!r}", "param_name")
    if total_steps is not None and not (
        isinstance(total_steps, (int, float)) and total_steps > 0 and total_steps % 1 == 0
    ):
        raise ScheduleError(f"{name}: total_steps must be a positive whole number, got {total_steps!r}", "total_steps")
    if not isinstance(pct_start, (int, float)) or not 0 <= pct_start <= 1:
        raise ScheduleError(f"{name}: pct_start must be between 0 and 1, got {pct_start!r}", "pct_start")
    if anneal_strategy not in ("cos", "linear"):
        raise ScheduleError(
            f"{name}: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            f"{suggest(anneal_strategy, ['cos', 'linear'])}",
            "anneal_strategy",
        )
