"""Schedulers of the learning rate: each curve of :mod:`.param_scheduler` with ``param_name="lr"``."""

from __future__ import annotations

from typing import Any

from eng.registry import PARAM_SCHEDULERS

from .param_scheduler import (
    ConstantParamScheduler,
    CosineAnnealingParamScheduler,
    CosineRestartParamScheduler,
    ExponentialParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    OneCycleParamScheduler,
    PolyParamScheduler,
    ReduceOnPlateauParamScheduler,
    StepParamScheduler,
)


class LRSchedulerMixin:
    """Mixin that makes a scheduler class change the learning rate, by setting its argument ``param_name`` to ``"lr"``.

    A class lists this mixin before the scheduler class among its base classes.

    Args:
        optimizer: the wrapper or optimizer whose learning rate the schedule changes.
        *args: positional arguments of the scheduler class, without ``param_name``.
        **kwargs: keyword arguments of the scheduler class.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        >>> ExponentialLR(optimizer, gamma=0.5).step()
        >>> optimizer.param_groups[0]["lr"]
        0.05
    """

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, "lr", *args, **kwargs)  # type: ignore[call-arg]  # for the MRO's next class


@PARAM_SCHEDULERS.register_module()
class ConstantLR(LRSchedulerMixin, ConstantParamScheduler):
    """Multiplies the learning rate by one factor from ``begin`` to ``end``, as in a warm-up with a constant rate.

    Arguments are those of :class:`ConstantParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LRSchedulerMixin, CosineAnnealingParamScheduler):
    """Lowers the learning rate to a minimum along half a cosine.

    Arguments are those of :class:`CosineAnnealingParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class CosineRestartLR(LRSchedulerMixin, CosineRestartParamScheduler):
    """Lowers the learning rate along half a cosine in several cycles; each cycle starts at a high rate again.

    Arguments are those of :class:`CosineRestartParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class ExponentialLR(LRSchedulerMixin, ExponentialParamScheduler):
    """Multiplies the learning rate by one factor in each unit (epoch, iteration or update).

    Arguments are those of :class:`ExponentialParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class LinearLR(LRSchedulerMixin, LinearParamScheduler):
    """Multiplies the learning rate by a factor that changes linearly, as in a warm-up.

    Arguments are those of :class:`LinearParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LRSchedulerMixin, MultiStepParamScheduler):
    """Multiplies the learning rate by one factor at each milestone.

    Arguments are those of :class:`MultiStepParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class OneCycleLR(LRSchedulerMixin, OneCycleParamScheduler):
    """Raises the learning rate to a maximum, and then lowers the rate far below its initial value, in one cycle.

    Arguments are those of :class:`OneCycleParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class PolyLR(LRSchedulerMixin, PolyParamScheduler):
    """Lowers the learning rate as a power of the remaining fraction of the schedule (polynomial decay).

    Arguments are those of :class:`PolyParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(LRSchedulerMixin, ReduceOnPlateauParamScheduler):
    """Multiplies the learning rate by a factor below 1 when a validation metric has stopped improving.

    Arguments are those of :class:`ReduceOnPlateauParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class StepLR(LRSchedulerMixin, StepParamScheduler):
    """Multiplies the learning rate by one factor every ``step_size`` units (epochs, iterations or updates).

    Arguments are those of :class:`StepParamScheduler` without ``param_name``.
    """
