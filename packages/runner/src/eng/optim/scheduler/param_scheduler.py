"""Schedulers of any hyperparameter: each applies a curve of :mod:`.curves` to the optimizer's parameter groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from eng.optim.errors import ScheduleError
from eng.registry import PARAM_SCHEDULERS

from . import curves
from ._cycles import CosineRestartParamScheduler, OneCycleParamScheduler
from ._driver import INF, OptimizerType, _ParamScheduler
from ._plateau import ReduceOnPlateauParamScheduler

__all__ = [
    "INF",
    "OptimizerType",
    "_ParamScheduler",
    "ConstantParamScheduler",
    "CosineAnnealingParamScheduler",
    "CosineRestartParamScheduler",
    "ExponentialParamScheduler",
    "LinearParamScheduler",
    "MultiStepParamScheduler",
    "OneCycleParamScheduler",
    "PolyParamScheduler",
    "ReduceOnPlateauParamScheduler",
    "StepParamScheduler",
]


@PARAM_SCHEDULERS.register_module()
class StepParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by ``gamma`` every ``step_size`` units (epochs, iterations or optimizer updates).

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        step_size: number of units between two multiplications.
        gamma: factor of each multiplication. Defaults to 0.1.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: ``step_size`` is not positive.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = StepParamScheduler(optimizer, "lr", step_size=2)
        >>> [scheduler.step() or round(optimizer.param_groups[0]["lr"], 3) for _ in range(4)]
        [1.0, 0.1, 0.1, 0.01]
    """

    _counted_in_units: ClassVar = {"step_size": True}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        step_size: float,
        gamma: float = 0.1,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        if step_size <= 0:
            raise ScheduleError(f"{type(self).__name__}: step_size must be positive, got {step_size}", "step_size")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def _get_value(self) -> list[Any]:
        return [curves.staircase(value, self.last_step, self.step_size, self.gamma) for value in self._present()]


@PARAM_SCHEDULERS.register_module()
class MultiStepParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by ``gamma`` at each milestone.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        milestones: units after whose end the value is multiplied, in ascending order; a milestone that is listed twice
            multiplies twice.
        gamma: factor by which each milestone multiplies the value. Defaults to 0.1.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: the milestones are not in ascending order, or not whole numbers.
    """

    _counted_in_units: ClassVar = {"milestones": True}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        milestones: Sequence[float],
        gamma: float = 0.1,
        last_step: int = -1,
        begin: float = 0,
        end: float = INF,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self.milestones = Counter(_ascending(type(self).__name__, milestones))
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def _get_value(self) -> list[Any]:
        present, step = self._present(), self.last_step
        if step not in self.milestones:
            return present
        return [curves.milestones_passed(value, step, self.milestones, self.gamma) for value in present]


@PARAM_SCHEDULERS.register_module()
class ConstantParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by ``factor`` from ``begin``, and undoes this in the last unit before ``end``.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        factor: number between 0 and 1 that multiplies the hyperparameter. Defaults to 1/3.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: ``factor`` is not between 0 and 1.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        factor: float = 1.0 / 3,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self.factor = _fraction(type(self).__name__, "factor", factor)
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)
        self._warn_of_one_unit()

    def _get_value(self) -> list[Any]:
        step, total, factor = self.last_step, self.total_iters, self.factor
        return [
            curves.constant(value, base, step, total, factor)
            for value, base in zip(self._present(), self.base_values, strict=True)
        ]


@PARAM_SCHEDULERS.register_module()
class ExponentialParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by ``gamma`` in each unit (epoch, iteration or optimizer update).

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        gamma: factor by which each unit multiplies the value.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        gamma: float,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def _get_value(self) -> list[Any]:
        return [curves.exponential(value, self.last_step, self.gamma) for value in self._present()]


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_ParamScheduler):
    """Lowers a hyperparameter from its initial value to ``eta_min`` along half a cosine, in ``T_max`` units.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        T_max: number of units until the hyperparameter has its lowest value. None (default) is ``end - begin``.
        eta_min: lowest value of the hyperparameter. None (default) is 0, unless ``eta_min_ratio`` is set.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        eta_min_ratio: lowest value as a fraction of the hyperparameter's initial value; replaces ``eta_min``.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: both ``eta_min`` and ``eta_min_ratio`` are given, or ``T_max`` is not positive.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983.
    """

    _counted_in_units: ClassVar = {"T_max": False}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        T_max: float | None = None,
        eta_min: float | None = None,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        eta_min_ratio: float | None = None,
        by: str | None = None,
    ) -> None:
        name = type(self).__name__
        if eta_min is not None and eta_min_ratio is not None:
            raise ScheduleError(f"{name}: give eta_min or eta_min_ratio, not both", "eta_min_ratio")
        if T_max is not None and T_max < 0:
            raise ScheduleError(f"{name}: T_max must be positive, got {T_max}", "T_max")
        self.T_max = T_max or (end - begin)
        self.eta_min = eta_min
        if eta_min is None and eta_min_ratio is None:
            self.eta_min = 0.0
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)

    def _get_value(self) -> list[Any]:
        """Returns the hyperparameter's value at the present step, for each parameter group.

        With ``eta_min_ratio``, each parameter group has a lowest value of its own: a fraction of its initial value.
        """
        lowest = self.eta_min or 0.0
        values = []
        for value, base in zip(self._present(), self.base_values, strict=True):
            if self.eta_min_ratio is not None:
                lowest = base * self.eta_min_ratio
            values.append(curves.cosine_annealing(value, base, self.last_step, self.T_max, lowest))
        return values


@PARAM_SCHEDULERS.register_module()
class LinearParamScheduler(_ParamScheduler):
    """Multiplies a hyperparameter by a factor that changes linearly from ``begin`` to ``end``, as in a warm-up.

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        start_factor: number between 0 and 1 that multiplies the value in the first unit. Defaults to 1/3.
        end_factor: number between 0 and 1 that multiplies the value in the last unit. Defaults to 1.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Raises:
        ScheduleError: a factor is not between 0 and 1.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2 (gradual warm-up).
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self.start_factor = _fraction(type(self).__name__, "start_factor", start_factor)
        self.end_factor = _fraction(type(self).__name__, "end_factor", end_factor)
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)
        self._warn_of_one_unit()

    def _get_value(self) -> list[Any]:
        step, total, low, high = self.last_step, self.total_iters, self.start_factor, self.end_factor
        return [
            curves.linear(value, base, step, total, low, high)
            for value, base in zip(self._present(), self.base_values, strict=True)
        ]


@PARAM_SCHEDULERS.register_module()
class PolyParamScheduler(_ParamScheduler):
    """Lowers a hyperparameter to ``eta_min`` as a power of the remaining fraction of the schedule (polynomial decay).

    Args:
        optimizer: the wrapper or optimizer whose parameter groups the schedule changes; see :class:`_ParamScheduler`.
        param_name: name of the hyperparameter in the parameter groups, such as ``"lr"``.
        eta_min: value of the hyperparameter at the end of the schedule. Defaults to 0.
        power: exponent of the remaining fraction of the schedule; 1 (default) gives a straight line.
        begin: first unit (epoch, iteration or optimizer update) in which the schedule changes the value.
        end: first unit in which the schedule does not change the value any more.
        last_step: number of steps that the schedule took in an earlier run; -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit, ``"epoch"``, ``"iter"`` or ``"update"``, in place of ``by_epoch``; see :class:`_ParamScheduler`.

    Source: Chen et al. 2018 (DeepLab), arXiv:1606.00915, section 4.1.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        eta_min: float = 0,
        power: float = 1.0,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self.eta_min = eta_min
        self.power = power
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)
        self._warn_of_one_unit()

    def _get_value(self) -> list[Any]:
        return [
            curves.polynomial(value, self.last_step, self.total_iters, self.power, self.eta_min)
            for value in self._present()
        ]


def _fraction(name: str, argument: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ScheduleError(f"{name}: {argument} must be between 0 and 1, got {value}", argument)
    return value


def _ascending(name: str, milestones: Sequence[float]) -> list[int]:
    """Returns the milestones as integers; raises ScheduleError unless they are whole numbers in ascending order."""
    if isinstance(milestones, str) or not hasattr(milestones, "__iter__"):
        raise ScheduleError(f"{name}: milestones must be a list of whole numbers, got {milestones!r}", "milestones")
    numbers = [int(milestone) for milestone in milestones]
    if numbers != list(milestones):
        raise ScheduleError(f"{name}: milestones must be whole numbers, got {list(milestones)}", "milestones")
    if numbers != sorted(numbers):
        raise ScheduleError(
            f"{name}: milestones must be in ascending order, got {numbers}; did you mean {sorted(numbers)}?",
            "milestones",
        )
    return numbers
