"""Averages of a model's weights during training (SWA, EMA and annealed EMA), updated by fused operations."""

from __future__ import annotations

import logging
import weakref
from abc import abstractmethod
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from eng.checkpoint.dtensor import local_part
from eng.checkpoint.torch_internals import copy_tensors, write_count
from eng.model.errors import ModelValueError
from eng.registry import MODELS

from .wrappers._copying import copy_of

logger = logging.getLogger(__name__)

# Where a tensor is stored in a model: a module's dict of parameters or of buffers, and the tensor's key in that dict.
Slot = tuple[dict[str, Any], str]


class BaseAveragedModel(nn.Module):
    """Base class of models whose weights are the average of another model's weights over the iterations of a training.

    The attribute ``module`` is the averaged copy of the model; ``steps`` counts the calls of :meth:`update_parameters`.
    A subclass defines how :meth:`avg_func` averages one tensor. A subclass may also define :meth:`avg_foreach`, which
    averages many tensors in one call and is faster.

    Args:
        model: the model whose weights are averaged; the constructor copies the model.
        interval: the weights are averaged at every ``interval``-th call of :meth:`update_parameters`. Defaults to 1.
        device: device that holds the averaged copy; None (default) is the device of the model.
        update_buffers: whether floating point buffers, such as BatchNorm statistics, are averaged like weights. Integer
            buffers, and with False (default) all buffers, are copied from the model at every call.

    Raises:
        ValueError: ``interval`` is below 1.

    Source: Izmailov et al. 2018, arXiv:1803.05407, for averages of weights in general.
    """

    steps: torch.Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "avg_func" in cls.__dict__ and "avg_foreach" not in cls.__dict__:
            # A subclass that overrides only avg_func must not inherit the avg_foreach of its base class, which would
            # average by the rule of the base class. BaseAveragedModel.avg_foreach calls avg_func for each tensor.
            cls.avg_foreach = BaseAveragedModel.avg_foreach  # type: ignore[method-assign]  # replaced on purpose

    def __init__(
        self,
        model: nn.Module,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__()
        if interval < 1:
            raise ValueError(f"interval must be 1 or more, got {interval}")
        self.module = copy_of(model).requires_grad_(False)
        self.interval = interval
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long, device=device))
        self.update_buffers = update_buffers
        # _count is a copy of `steps` on the host; _count_mark tells whether the tensor was written since.
        self._count = 0
        self._count_mark: tuple[int, int] | None = None
        self._pairs: tuple[weakref.ref[nn.Module], list[Slot], list[Slot], list[Slot], list[Slot]] | None = None

    @abstractmethod
    def avg_func(self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: int) -> None:
        """Updates the average of a single tensor in place, with the tensor's present value in the trained model.

        Args:
            averaged_param: the average, a tensor of any shape, which is changed in place.
            source_param: the tensor of the trained model, with the shape, dtype and device of ``averaged_param``.
            steps: number of earlier calls of :meth:`update_parameters`.
        """

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the averages of many tensors in place; here by one call of :meth:`avg_func` per tensor.

        Args:
            averaged: the averages, which are changed in place.
            sources: for each average the tensor of the trained model, with the shape, dtype and device of the average.
            steps: number of earlier calls of :meth:`update_parameters`.
        """
        for average, source in zip(averaged, sources, strict=True):
            self.avg_func(average, source, steps)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the averaged copy of the model with the arguments, and returns the output."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Updates the averaged copy with the present weights of the trained model.

        The first call copies the weights. Of the later calls, every ``interval``-th averages the weights. Each call
        copies the buffers that are not averaged.

        Args:
            model: the trained model, whose structure must be that of the model that the constructor got.
        """
        averaged, sources, copies, originals = self._tensors(model)
        steps = self._steps()
        if steps == 0:
            copy_tensors(averaged, sources)
        elif averaged and steps % self.interval == 0:  # torch's averaging functions take no empty list
            self.avg_foreach(averaged, _matched(averaged, sources), steps)
        copy_tensors(copies, originals)
        self.steps += 1
        self._count, self._count_mark = steps + 1, self._mark()

    def _steps(self) -> int:
        """Returns the value of the tensor ``steps`` from a copy on the host, so that the host need not wait for a GPU.

        The tensor is read only if other code, such as loading a checkpoint, has written to the tensor.
        """
        if self._count_mark != self._mark():
            self._count = int(self.steps)
        return self._count

    def _mark(self) -> tuple[int, int]:
        return id(self.steps), write_count(self.steps)

    def _tensors(self, model: nn.Module) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        if self._pairs is None or self._pairs[0]() is not model:
            self._pairs = (weakref.ref(model), *self._slots(model))
        averaged, sources, copies, originals = (
            [local_part(table[name]) for table, name in slots] for slots in self._pairs[1:]
        )
        return averaged, sources, copies, originals

    def _slots(self, model: nn.Module) -> tuple[list[Slot], list[Slot], list[Slot], list[Slot]]:
        """Returns four lists that say where the tensors are stored in the averaged copy and in the trained ``model``.

        The first list has the tensors of the copy that are averaged, the second the same tensors of ``model``, the
        third the tensors of the copy that are overwritten, and the fourth the same tensors of ``model``.
        """
        pairs: tuple[list[Slot], list[Slot], list[Slot], list[Slot]] = ([], [], [], [])
        trained_modules = dict(model.named_modules(remove_duplicate=False))
        seen: set[int] = set()
        for name, module in self.module.named_modules():
            for table in ("_parameters", "_buffers"):
                for key, tensor in getattr(module, table).items():
                    if tensor is None or id(tensor) in seen:  # A weight that two modules share is averaged once.
                        continue
                    seen.add(id(tensor))
                    list_index = 2
                    if table == "_parameters" or (self.update_buffers and tensor.is_floating_point()):
                        list_index = 0
                    pairs[list_index].append((getattr(module, table), key))
                    pairs[list_index + 1].append((getattr(trained_modules[name], table), key))
        return pairs

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pairs": None, "_count_mark": None}


def _matched(averaged: list[torch.Tensor], sources: list[torch.Tensor]) -> list[torch.Tensor]:
    """Converts each source tensor to the device and dtype of its average; sources that match are not copied."""
    matched = []
    for average, source in zip(averaged, sources, strict=True):
        if source.device != average.device or source.dtype != average.dtype:
            source = source.to(average)
        matched.append(source)
    return matched


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """Stochastic weight averaging (SWA): the mean of the weights at every ``interval``-th update, each counted equally.

    Args:
        model: the model whose weights are averaged; the constructor copies the model.
        interval: the weights are averaged at every ``interval``-th call of ``update_parameters``.
        device: device that holds the averaged copy; None (default) is the device of the model.
        update_buffers: whether floating point buffers are averaged like weights; with False, buffers are copied.

    Examples:
        >>> model = nn.Linear(1, 1)
        >>> average = StochasticWeightAverage(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update_parameters(model)
        >>> average.module.weight.item()
        3.0

    Source: Izmailov et al. 2018, arXiv:1803.05407.
    """

    def avg_func(self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: int) -> None:
        """Updates the mean of the weights so far with the present weight; all averaged weights count equally."""
        averaged_param.lerp_(source_param, 1 / (self._count_of_averaged(steps) + 1))

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the means of many tensors by one fused operation; the result is that of :meth:`avg_func`."""
        get_swa_multi_avg_fn()(averaged, sources, self._count_of_averaged(steps))

    def _count_of_averaged(self, steps: int) -> int:
        return int(steps) // self.interval


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """Exponential moving average (EMA): ``average = (1 - momentum) * average + momentum * weight``.

    Args:
        model: the model whose weights are averaged; the constructor copies the model.
        momentum: share of the present weights in the new average, above 0 and below 1. Other libraries call
            ``1 - momentum`` the decay.
        interval: the weights are averaged at every ``interval``-th call of ``update_parameters``.
        device: device that holds the averaged copy; None (default) is the device of the model.
        update_buffers: whether floating point buffers are averaged like weights; with False, buffers are copied.

    Raises:
        ValueError: ``momentum`` is not between 0 and 1.

    Examples:
        >>> model = nn.Linear(1, 1)
        >>> average = ExponentialMovingAverage(model, momentum=0.25)
        >>> for value in (0.0, 4.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update_parameters(model)
        >>> average.module.weight.item()
        1.0
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not 0.0 < momentum < 1.0:
            raise ModelValueError(f"momentum is a share above 0 and below 1, got {momentum}")
        if momentum > 0.5:
            logger.warning(
                "momentum=%s gives the newest weights more than half; eng's momentum is their share, unlike torch's "
                "decay: did you mean %s?", momentum, 1 - momentum,
            )  # fmt: skip
        self.momentum = momentum

    def momentum_at(self, steps: int) -> float:
        """Returns the share of the present weights in the new average, after ``steps`` earlier updates."""
        return self.momentum

    def avg_func(self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: int) -> None:
        """Moves the average of a single tensor towards the present weight by the share ``momentum_at(steps)``."""
        averaged_param.lerp_(source_param, self.momentum_at(int(steps)))

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the averages of many tensors by one fused operation, as :meth:`avg_func` does up to rounding."""
        get_ema_multi_avg_fn(1 - self.momentum_at(int(steps)))(averaged, sources, steps)


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """An exponential moving average in which the share of the present weights falls from 1 to ``momentum``.

    After ``steps`` updates the share is ``max(momentum, gamma / (gamma + steps))``, so that the random initial weights
    are forgotten early in training.

    Args:
        model: the model whose weights are averaged; the constructor copies the model.
        momentum: lowest share of the present weights in the new average.
        gamma: the share is one half after ``gamma`` updates.
        interval: the weights are averaged at every ``interval``-th call of ``update_parameters``.
        device: device that holds the averaged copy; None (default) is the device of the model.
        update_buffers: whether floating point buffers are averaged like weights; with False, buffers are copied.

    Raises:
        ValueError: ``gamma`` is not positive.

    Source: Karras et al. 2020 (StyleGAN2-ADA), arXiv:2006.06676.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 100,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if gamma <= 0:
            raise ModelValueError(f"gamma must be above 0, got {gamma}")
        self.gamma = gamma

    def momentum_at(self, steps: int) -> float:
        """Returns the share of the present weights in the new average, after ``steps`` earlier updates."""
        return max(self.momentum, self.gamma / (self.gamma + steps))
