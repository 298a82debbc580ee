"""Schedulers of the momentum: of ``momentum`` in SGD and its like, of the first beta in Adam and its like."""

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
    """Put before a scheduler of any hyperparameter, makes it one of the momentum.

    Optimizers with ``betas`` get a group value ``momentum`` that follows their first beta and is written back to it.

    Args:
        optimizer: whose momentum is moved.
        *args: of the scheduler behind, without ``param_name``.
        **kwargs: the same.

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
        if self.use_betas:
            for group in optimizer.param_groups:
                group["momentum"] = group["betas"][0]
        super().__init__(optimizer, "momentum", *args, **kwargs)  # type: ignore[call-arg]  # the next class in line takes them

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        if self.use_betas:
            for group in groups:
                group.setdefault("momentum", group["betas"][0])
        super()._set_base_values(groups)  # type: ignore[misc]  # the next class in line is a _ParamScheduler

    def _write(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        super()._write(groups, values)  # type: ignore[misc]  # the next class in line is a _ParamScheduler
        if self.use_betas:
            for group in groups:
                group["betas"] = (group["momentum"], group["betas"][1])


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(MomentumSchedulerMixin, ConstantParamScheduler):
    """Multiplies the momentum by a factor over the span. Arguments: those of :class:`ConstantParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, CosineAnnealingParamScheduler):
    """Takes the momentum down along half a cosine. Arguments: those of :class:`CosineAnnealingParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(MomentumSchedulerMixin, CosineRestartParamScheduler):
    """Takes the momentum down along half a cosine, again and again. Arguments: those of :class:`CosineRestartParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(MomentumSchedulerMixin, ExponentialParamScheduler):
    """Multiplies the momentum by a factor at each unit. Arguments: those of :class:`ExponentialParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, LinearParamScheduler):
    """Multiplies the momentum by a factor that changes linearly, as in a warm-up. Arguments: those of :class:`LinearParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, MultiStepParamScheduler):
    """Multiplies the momentum by a factor at each milestone. Arguments: those of :class:`MultiStepParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(MomentumSchedulerMixin, PolyParamScheduler):
    """Takes the momentum down as a power of what is left of the span. Arguments: those of :class:`PolyParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(MomentumSchedulerMixin, ReduceOnPlateauParamScheduler):
    """Lowers the momentum when a metric gets better no more. Arguments: those of :class:`ReduceOnPlateauParamScheduler` without ``param_name``."""


@PARAM_SCHEDULERS.register_module()
class StepMomentum(MomentumSchedulerMixin, StepParamScheduler):
    """Multiplies the momentum by a factor every so many units. Arguments: those of :class:`StepParamScheduler` without ``param_name``."""
