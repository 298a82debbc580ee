"""Averages of a model's weights during training (SWA, EMA and annealed EMA), updated by fused operations."""

from __future__ import annotations

import logging
import weakref
from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import local_part
from eng.checkpoint.torch_internals import average_tensors, copy_tensors, write_count
from eng.model.errors import ModelValueError
from eng.registry import MODELS

from .wrappers._copying import copy_of

logger = logging.getLogger(__name__)

# The place of a tensor in a model: a module's dict of parameters or buffers, and the tensor's name in that dict.
Slot = tuple[dict[str, Any], str]


class BaseAveragedModel(nn.Module):
    """A copy of a model whose weights are an average over training: ``module`` is the copy, ``steps`` counts updates.

    A subclass defines :meth:`avg_func` for one tensor, and may define :meth:`avg_foreach` for many tensors, which is
    faster.

    Args:
        model: the model to average; it is copied.
        interval: number of updates between two averaging steps. Defaults to 1.
        device: device of the average; None (default) is the device of the model.
        update_buffers: whether to average the floating point buffers too. Other buffers, and with False (default) all
            buffers, are copied from the model at every update.

    Raises:
        ValueError: ``interval`` is below 1.

    Source: Izmailov et al. 2018, arXiv:1803.05407, for averages of weights in general.
    """

    steps: torch.Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "avg_func" in cls.__dict__ and "avg_foreach" not in cls.__dict__:
            # The class overrides avg_func only, so an inherited avg_foreach would apply the rule of its base class.
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
        self._count = 0
        self._count_mark: tuple[int, int] | None = None
        self._pairs: tuple[weakref.ref[nn.Module], list[Slot], list[Slot], list[Slot], list[Slot]] | None = None

    @abstractmethod
    def avg_func(self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: int) -> None:
        """Updates the average of a single tensor in place.

        Args:
            averaged_param: the average; any shape.
            source_param: the model's tensor, with the same shape, dtype and device.
            steps: number of earlier updates.
        """

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the averages of many tensors in place; see :meth:`avg_func`.

        Args:
            averaged: the averages.
            sources: for each average the model's tensor, with the same shape, dtype and device.
            steps: number of earlier updates.
        """
        for average, source in zip(averaged, sources, strict=True):
            self.avg_func(average, source, steps)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the output of the averaged model."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Adds the model's present weights to the average: the first call copies them, every ``interval``-th averages.

        Args:
            model: the model, or another model with the same structure.
        """
        averaged, sources, copies, originals = self._tensors(model)
        steps = self._steps()
        if steps == 0:
            copy_tensors(averaged, sources)
        elif steps % self.interval == 0:
            self.avg_foreach(averaged, _matched(averaged, sources), steps)
        copy_tensors(copies, originals)
        self.steps += 1
        self._count, self._count_mark = steps + 1, self._mark()

    def _steps(self) -> int:
        """Returns ``steps`` from a counter on the host; reads the tensor only if other code has written to it."""
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
        """Returns four lists of slots: averaged tensors, their sources, copied tensors and their sources."""
        pairs: tuple[list[Slot], list[Slot], list[Slot], list[Slot]] = ([], [], [], [])
        theirs = dict(model.named_modules(remove_duplicate=False))
        seen: set[int] = set()
        for name, module in self.module.named_modules():
            for table in ("_parameters", "_buffers"):
                for key, tensor in getattr(module, table).items():
                    if tensor is None or id(tensor) in seen:  # A tied weight is averaged once.
                        continue
                    seen.add(id(tensor))
                    into = 2
                    if table == "_parameters" or (self.update_buffers and tensor.is_floating_point()):
                        into = 0
                    pairs[into].append((getattr(module, table), key))
                    pairs[into + 1].append((getattr(theirs[name], table), key))
        return pairs

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pairs": None, "_count_mark": None}


def _matched(averaged: list[torch.Tensor], sources: list[torch.Tensor]) -> list[torch.Tensor]:
    """Returns the sources with the device and dtype of their averages; a source that has both is not copied."""
    matched = []
    for average, source in zip(averaged, sources, strict=True):
        if source.device != average.device or source.dtype != average.dtype:
            source = source.to(average)
        matched.append(source)
    return matched


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """Stochastic weight averaging (SWA): the mean of the weights at every ``interval``-th update.

    Args:
        model: the model to average.
        interval: number of updates between two averaging steps.
        device: device of the average.
        update_buffers: whether to average the buffers too.

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
        """Updates the mean of ``n`` values with the next value."""
        averaged_param.lerp_(source_param, self._share(steps))

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the means of many tensors by a single fused operation; see :meth:`avg_func`."""
        average_tensors(averaged, sources, self._share(steps))

    def _share(self, steps: int) -> float:
        return 1 / (int(steps) // self.interval + 1)


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """Exponential moving average (EMA): ``average = (1 - momentum) * average + momentum * weight``.

    Args:
        model: the model to average.
        momentum: share of the newest weights, above 0 and below 1; other libraries call ``1 - momentum`` the decay.
        interval: number of updates between two averaging steps.
        device: device of the average.
        update_buffers: whether to average the buffers too.

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
        """Returns the share of the newest weights after ``steps`` earlier updates."""
        return self.momentum

    def avg_func(self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: int) -> None:
        """Updates the average of a single tensor: moves it towards the weight by the share ``momentum``."""
        averaged_param.lerp_(source_param, self.momentum_at(int(steps)))

    def avg_foreach(self, averaged: list[torch.Tensor], sources: list[torch.Tensor], steps: int) -> None:
        """Updates the averages of many tensors by a single fused operation; see :meth:`avg_func`."""
        average_tensors(averaged, sources, self.momentum_at(int(steps)))


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """An EMA whose share of the newest weights falls from 1: ``max(momentum, gamma / (gamma + steps))``.

    Args:
        model: the model to average.
        momentum: lower limit of the share.
        gamma: the share falls to one half after ``gamma`` updates.
        interval: number of updates between two averaging steps.
        device: device of the average.
        update_buffers: whether to average the buffers too.

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
        """Returns the share of the newest weights after ``steps`` earlier updates."""
        return max(self.momentum, self.gamma / (self.gamma + steps))
