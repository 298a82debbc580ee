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
    """Anneals along half a cosine again and again, each time from a new height.

    Args:
        optimizer: as in :class:`_ParamScheduler`, and so are the arguments not named here.
        param_name: the hyperparameter.
        periods: units of each cycle.
        restart_weights: height of each cycle, as a part of the first value; as many as periods. Defaults to (1,).
        eta_min: the lowest value.
        eta_min_ratio: the lowest value as a part of the first; one of the two must be given.
        begin: first unit of the span.
        end: unit behind the span.
        last_step: steps taken by an earlier run.
        by_epoch: epochs or iterations.
        verbose: log each value.
        by: unit.

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
        """The values of this step in the cosine period that it lies in; behind the last period they stay."""
        cycle = self.get_position_from_periods(self.last_step, self.cumulative_periods)
        if cycle is None:
            return self._present()
        period, weight, ratio, floor = (
            self.periods[cycle],
            self.restart_weights[cycle],
            self.eta_min_ratio,
            self.eta_min,
        )
        step = self.last_step - (self.cumulative_periods[cycle] - period)
        values = []
        for value, base in zip(self._present(), self.base_values, strict=True):
            lowest = floor or 0.0 if ratio is None else base * ratio
            values.append(curves.cosine_restart(value, base, step, period, lowest, weight))
        return values

    @staticmethod
    def get_position_from_periods(iteration: int, cumulative_periods: list[float]) -> int | None:
        """In which cycle a unit lies; None behind the last.

        Args:
            iteration: the unit.
            cumulative_periods: unit behind each cycle.

        Examples:
            >>> position = CosineRestartParamScheduler.get_position_from_periods
            >>> position(50, [100, 200]), position(100, [100, 200]), position(200, [100, 200])
            (0, 1, None)
        """
        return next((index for index, behind in enumerate(cumulative_periods) if iteration < behind), None)


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(_ParamScheduler):
    """Goes from a low learning rate up to ``eta_max``, and from there far below where it began.

    Args:
        optimizer: as in :class:`_ParamScheduler`, and so are the arguments not named here.
        param_name: only ``"lr"``.
        eta_max: the highest value, or a list of one for each group. Defaults to 0.
        total_steps: units of the cycle. None (default) is the length of the span.
        pct_start: part of the cycle that goes up. Defaults to 0.3.
        anneal_strategy: ``"cos"`` (default) or ``"linear"``.
        div_factor: the first value is ``eta_max / div_factor``. Defaults to 25.
        final_div_factor: the last value is the first, divided by it. Defaults to 1e4.
        three_phase: go back to the first value as fast as up, then to the last. Defaults to False.
        begin: first unit of the span.
        end: unit behind the span.
        last_step: steps taken by an earlier run.
        by_epoch: epochs or iterations.
        verbose: log each value.
        by: unit.

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
        self.total_steps = end - begin if total_steps is None else total_steps
        self.anneal_strategy = anneal_strategy
        self.three_phase = three_phase
        up = float(pct_start * self.total_steps) - 1
        back = [float(2 * pct_start * self.total_steps) - 2] if three_phase else []
        self.turning_points = [up, *back, float(self.total_steps - 1)]
        if last_step == -1:
            self._set_heights(optimizer)
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def begin_anew(self) -> None:
        """Sets the heights of the cycle and takes the first step again."""
        self._set_heights(self.optimizer)
        super().begin_anew()

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            if "max_lr" not in group:  # added since the cycle began
                highest = self.eta_max[-1] if isinstance(self.eta_max, (list, tuple)) else self.eta_max
                self._set_height(group, highest)
        super()._set_base_values(groups)

    def _set_heights(self, optimizer: OptimizerType) -> None:
        """Sets the highest value of each parameter group."""
        groups = optimizer.param_groups
        highest = self.eta_max if isinstance(self.eta_max, (list, tuple)) else [self.eta_max] * len(groups)
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
        """The values of this step between the turning points of the cycle."""
        if self.last_step > self.total_steps:
            raise ScheduleError(
                f"{type(self).__name__}: step {self.last_step + 1} of a cycle of {self.total_steps}; give total_steps "
                "the length of the run, or an end",
                "total_steps",
            )
        names = ("initial_lr", "max_lr", *(("initial_lr",) if self.three_phase else ()), "min_lr")
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
