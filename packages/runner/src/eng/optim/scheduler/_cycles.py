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
    """Anneals a hyperparameter along half a cosine in several cycles, each from a starting value of its own.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        periods: length of each cycle in units.
        restart_weights: starting value of each cycle, as a fraction of the initial value; one per period. Defaults to
            (1,).
        eta_min: the lowest value.
        eta_min_ratio: the lowest value as a fraction of the initial value; instead of ``eta_min``.
        begin: first unit (epoch, iteration or update) in which the schedule acts.
        end: first unit in which the schedule does not act any more.
        last_step: number of steps that an earlier run has taken; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value. Defaults to False.
        by: the unit as a name; see :class:`_ParamScheduler`.

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
        """Returns the values at the present step of the present cycle; after the last cycle they do not change."""
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
            cumulative_periods: for each cycle the first unit after it.

        Examples:
            >>> position = CosineRestartParamScheduler.get_position_from_periods
            >>> position(50, [100, 200]), position(100, [100, 200]), position(200, [100, 200])
            (0, 1, None)
        """
        return next((index for index, behind in enumerate(cumulative_periods) if iteration < behind), None)


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(_ParamScheduler):
    """Raises the learning rate to ``eta_max``, and lowers it far below its initial value afterwards, in one cycle.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: only ``"lr"``.
        eta_max: the highest value, or a list with the highest value of each parameter group. Defaults to 0.
        total_steps: length of the cycle in units. None (default) is ``end - begin``.
        pct_start: fraction of the cycle in which the value rises. Defaults to 0.3.
        anneal_strategy: ``"cos"`` (default) or ``"linear"``.
        div_factor: the initial value is ``eta_max / div_factor``. Defaults to 25.
        final_div_factor: the last value is the initial value divided by ``final_div_factor``. Defaults to 1e4.
        three_phase: lower the value to the initial value in as many units as it rose, then to the last value in a third
            phase. Defaults to False.
        begin: first unit (epoch, iteration or update) in which the schedule acts.
        end: first unit in which the schedule does not act any more.
        last_step: number of steps that an earlier run has taken; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value. Defaults to False.
        by: the unit as a name; see :class:`_ParamScheduler`.

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
        """Restarts the cycle: sets the initial, highest and last value of each group, and takes the first step."""
        self._set_heights(self.optimizer)
        super().begin_anew()

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        last_eta_max = self._highest_values(1)[-1]
        for group in groups:
            # Only a group that was added after the cycle had begun has no max_lr.
            if "max_lr" not in group:
                self._set_height(group, last_eta_max)
        super()._set_base_values(groups)

    def _highest_values(self, count: int) -> Sequence[float]:
        if isinstance(self.eta_max, (list, tuple)):
            return self.eta_max
        return [self.eta_max] * count

    def _set_heights(self, optimizer: OptimizerType) -> None:
        """Sets the initial, highest and last learning rate of each parameter group."""
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
        """Returns the learning rate of each group at the present step of the cycle."""
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
    """Checks the arguments of a one-cycle schedule."""
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
