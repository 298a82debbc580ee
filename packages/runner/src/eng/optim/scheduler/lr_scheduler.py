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
    """Put before a scheduler of any hyperparameter, makes it one of the learning rate.

    Args:
        optimizer: whose learning rate is moved.
        *args: of the scheduler behind, without ``param_name``.
        **kwargs: the same.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        >>> ExponentialLR(optimizer, gamma=0.5).step()
        >>> optimizer.param_groups[0]["lr"]
        0.05
    """

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, "lr", *args, **kwargs)  # type: ignore[call-arg]  # the next class in line takes them


@PARAM_SCHEDULERS.register_module()
class ConstantLR(LRSchedulerMixin, ConstantParamScheduler):
    """Scales the learning rate by one factor over the span. Arguments: those of :class:`ConstantParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LRSchedulerMixin, CosineAnnealingParamScheduler):
    """Takes the learning rate down along half a cosine. Arguments: those of :class:`CosineAnnealingParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartLR(LRSchedulerMixin, CosineRestartParamScheduler):
    """Takes the learning rate down along half a cosine, again and again. Arguments: those of :class:`CosineRestartParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class ExponentialLR(LRSchedulerMixin, ExponentialParamScheduler):
    """Scales the learning rate by one factor at each unit. Arguments: those of :class:`ExponentialParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class LinearLR(LRSchedulerMixin, LinearParamScheduler):
    """Scales the learning rate by a factor that changes linearly, as in a warm-up. Arguments: those of :class:`LinearParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LRSchedulerMixin, MultiStepParamScheduler):
    """Scales the learning rate by one factor at each milestone. Arguments: those of :class:`MultiStepParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class OneCycleLR(LRSchedulerMixin, OneCycleParamScheduler):
    """Takes the learning rate up and then far down, in one cycle. Arguments: those of :class:`OneCycleParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class PolyLR(LRSchedulerMixin, PolyParamScheduler):
    """Takes the learning rate down as a power of what is left of the span. Arguments: those of :class:`PolyParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(LRSchedulerMixin, ReduceOnPlateauParamScheduler):
    """Lowers the learning rate when a metric gets better no more. Arguments: those of :class:`ReduceOnPlateauParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class StepLR(LRSchedulerMixin, StepParamScheduler):
    """Scales the learning rate by one factor every so many units. Arguments: those of :class:`StepParamScheduler` without ``param_name``."""
