"""Schedulers of the momentum: ``momentum`` of optimizers such as SGD, the first beta of optimizers such as Adam."""

from __future__ import annotations

from typing import Any

from eng.optim.errors import OptimError
from eng.registry import PARAM_SCHEDULERS

from .param_scheduler import (
    ConstantParamScheduler,
    CosineAnnealingParamScheduler,
    CosineRestartParamScheduler,
    ExponentialParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    PolyParamScheduler,
    ReduceOnPlateauParamScheduler,
    StepParamScheduler,
)


class MomentumSchedulerMixin:
    """Mixin that makes a scheduler class change the momentum, by setting its argument ``param_name`` to ``"momentum"``.

    A class lists this mixin before the scheduler class among its base classes. In an optimizer with ``betas``, such as
    Adam, the momentum is the first beta: each parameter group gets a value ``momentum``, which the schedule changes,
    and each new value is also written to the first beta.

    Args:
        optimizer: the wrapper or optimizer whose momentum the schedule changes.
        *args: positional arguments of the scheduler class, without ``param_name``.
        **kwargs: keyword arguments of the scheduler class.

    Raises:
        OptimError: the optimizer has neither ``momentum`` nor ``betas`` (a ValueError).

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], betas=(0.8, 0.99))
        >>> ExponentialMomentum(optimizer, gamma=0.5).step()
        >>> optimizer.param_groups[0]["betas"]
        (0.4, 0.99)
    """

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        defaults = optimizer.defaults
        self.use_betas = "momentum" not in defaults and "betas" in defaults
        if not self.use_betas and "momentum" not in defaults:
            bare = getattr(optimizer, "optimizer", optimizer)
            raise OptimError(
                f"{type(self).__name__} needs an optimizer with 'momentum' or 'betas'; {type(bare).__name__} has "
                f"{', '.join(sorted(defaults))}"
            )
        # Adam and similar optimizers have no value "momentum", so the schedule gets a copy of the first beta to change.
        if self.use_betas:
            for group in optimizer.param_groups:
                group["momentum"] = group["betas"][0]
        super().__init__(optimizer, "momentum", *args, **kwargs)  # type: ignore[call-arg]  # for the MRO's next class

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        if self.use_betas:
            for group in groups:
                group.setdefault("momentum", group["betas"][0])
        super()._set_base_values(groups)  # type: ignore[misc]  # the next class in the MRO is a _ParamScheduler

    def _write(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        super()._write(groups, values)  # type: ignore[misc]  # the next class in the MRO is a _ParamScheduler
        if self.use_betas:
            for group in groups:
                group["betas"] = (group["momentum"], group["betas"][1])


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(MomentumSchedulerMixin, ConstantParamScheduler):
    """Multiplies the momentum by one factor from ``begin`` to ``end``.

    Arguments are those of :class:`ConstantParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, CosineAnnealingParamScheduler):
    """Lowers the momentum to a minimum along half a cosine.

    Arguments are those of :class:`CosineAnnealingParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(MomentumSchedulerMixin, CosineRestartParamScheduler):
    """Lowers the momentum along half a cosine in several cycles; each cycle starts at a high momentum again.

    Arguments are those of :class:`CosineRestartParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(MomentumSchedulerMixin, ExponentialParamScheduler):
    """Multiplies the momentum by one factor in each unit (epoch, iteration or update).

    Arguments are those of :class:`ExponentialParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, LinearParamScheduler):
    """Multiplies the momentum by a factor that changes linearly, as in a warm-up.

    Arguments are those of :class:`LinearParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, MultiStepParamScheduler):
    """Multiplies the momentum by one factor at each milestone.

    Arguments are those of :class:`MultiStepParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(MomentumSchedulerMixin, PolyParamScheduler):
    """Lowers the momentum as a power of the remaining fraction of the schedule (polynomial decay).

    Arguments are those of :class:`PolyParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(MomentumSchedulerMixin, ReduceOnPlateauParamScheduler):
    """Multiplies the momentum by a factor below 1 when a validation metric has stopped improving.

    Arguments are those of :class:`ReduceOnPlateauParamScheduler` without ``param_name``.
    """


@PARAM_SCHEDULERS.register_module()
class StepMomentum(MomentumSchedulerMixin, StepParamScheduler):
    """Multiplies the momentum by one factor every ``step_size`` units (epochs, iterations or updates).

    Arguments are those of :class:`StepParamScheduler` without ``param_name``.
    """
