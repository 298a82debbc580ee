"""Splits a batch when a training step runs out of memory; the update remains that of the complete batch."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from eng.device import empty_cache
from eng.dist import get_world_size
from eng.logging.words import counted
from eng.optim import OptimWrapper

from .errors import SettingsError
from .loops.base import BaseLoop
from .state.rng import capture_rng, restore_rng

__all__ = ["SplitStep", "is_out_of_memory", "split_batch"]

logger = logging.getLogger(__name__)
# Texts in out-of-memory errors that have no class of their own but are RuntimeErrors: torch's CPU allocator, CUDA
# libraries and NPUs.
_TEXTS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is an out-of-memory error of a device or of the process."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _TEXTS)


class SplitStep:
    """Replaces a model's ``train_step``: if memory runs out, it halves the micro-batch and repeats the step.

    The update is that of the complete batch: the loss of each part, a mean over its samples, is weighted by the part's
    share of the samples, or by its ``loss_weight`` if the model returns one. Gradients, buffers and random generators
    are restored before a step is repeated. The smaller micro-batch is used for the remaining run.

    Args:
        model: a model with ``train_step``.
        optim_wrapper: an :class:`eng.optim.OptimWrapper`.

    Raises:
        SettingsError: ``optim_wrapper`` is of another class, such as OptimWrapperDict, or the run has several
            processes.

    Attributes:
        micro_batch: largest number of samples in a part; None until memory first runs out.
    """

    def __init__(self, model: nn.Module, optim_wrapper: OptimWrapper) -> None:
        if get_world_size() > 1:
            raise SettingsError("on_oom='split' works in one process, and this run has several")
        if not isinstance(optim_wrapper, OptimWrapper):
            raise SettingsError(f"on_oom='split' works with one OptimWrapper, got {type(optim_wrapper).__name__}")
        self._model, self._wrapper = model, optim_wrapper
        self.micro_batch: int | None = None

    def __call__(self, data_batch: object, optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
        """Runs one training step.

        Args:
            data_batch: the complete batch.
            optim_wrapper: not used; the optimizer wrapper that was passed to the constructor is used instead.

        Raises:
            RuntimeError: memory runs out with a single sample, or in the optimizer's step.
        """
        while True:
            before = _StepState(self._model, self._wrapper)
            try:
                return self._in_parts(data_batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self._wrapper.inner_count != before.inner_count:
                    raise
                self._halve(data_batch, error)
            before.restore()  # After the except block, because the traceback inside the block keeps the activations in memory.
            gc.collect()
            empty_cache()

    def _halve(self, data_batch: object, error: BaseException) -> None:
        """Halves the micro-batch; raises ``error`` if the step failed with a single sample."""
        size = batch_length(data_batch)
        if self.micro_batch is None:
            tried = size
        else:
            tried = min(size, self.micro_batch)
        if tried <= 1:
            raise error
        self.micro_batch = tried // 2
        logger.warning(
            "Memory ran out with a micro-batch of %s: from now on it has at most %d, and the update stays that of "
            "the complete batch (%s)",
            counted(tried, "sample"),
            self.micro_batch,
            str(error).partition("\n")[0] or type(error).__name__,
        )

    def _in_parts(self, data_batch: object) -> dict[str, torch.Tensor]:
        """Runs one training step in parts of at most ``micro_batch`` samples."""
        model: Any = self._model
        total = batch_length(data_batch)
        if self.micro_batch is None or total <= self.micro_batch:
            outputs: dict[str, torch.Tensor] = model.train_step(data_batch, optim_wrapper=self._wrapper)
            return outputs
        parts = split_batch(data_batch, -(-total // self.micro_batch))
        shares, outputs_of_parts = [], []
        for index, part in enumerate(parts):
            view = _PartOfStep(self._wrapper, batch_length(part) / total, is_last=index == len(parts) - 1)
            outputs_of_parts.append(model.train_step(part, optim_wrapper=view))
            shares.append(view.share)
        return _average(outputs_of_parts, shares)


def split_where_asked(loop: BaseLoop, on_oom: str | None, model: nn.Module, optim_wrapper: OptimWrapper) -> None:
    """Makes a training loop split batches that run out of memory, if ``on_oom`` is ``"split"``."""
    if on_oom is not None:
        loop.split_step = SplitStep(model, optim_wrapper)


class _PartOfStep:
    """The optimizer wrapper that ``train_step`` gets for a part of a batch; only the last part updates parameters.

    Args:
        wrapper: the run's optimizer wrapper, from which all other attributes are read.
        share: the part's share of the samples in the complete batch, from 0 to 1.
        is_last: whether this is the last part of the batch.

    Attributes:
        share: weight of the part in the average of the logged values: its share of the samples or, if the model returns
            a ``loss_weight``, that weight.
    """

    def __init__(self, wrapper: OptimWrapper, share: float, *, is_last: bool) -> None:
        self._wrapper, self._is_last = wrapper, is_last
        self._fraction = share
        self.share: Any = share

    def optim_context(self, model: nn.Module) -> AbstractContextManager[None]:
        return self._wrapper.optim_context(model)

    def update_params(
        self,
        loss: torch.Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
        weight: float | torch.Tensor | None = None,
    ) -> None:
        """Adds the gradients of the part's loss; in the last part, also makes the optimizer step.

        Without a ``weight`` of the model, the loss is multiplied by the part's share of the samples.
        """
        if weight is None:
            loss = loss * self._fraction
        else:
            self.share = weight
        if self._is_last:
            self._wrapper.update_params(loss, step_kwargs, zero_kwargs, weight)
        else:
            self._wrapper.add_gradients(loss, weight)

    def __getattr__(self, name: str) -> Any:
        if name in ("backward", "step", "zero_grad"):
            raise SettingsError(f"on_oom='split' needs a train_step that calls update_params; this one calls {name}")
        return getattr(self._wrapper, name)


class _StepState:
    """Saves gradients, buffers and random generators before a step, to restore them if the step runs out of memory."""

    def __init__(self, model: nn.Module, wrapper: OptimWrapper) -> None:
        self._model, self._wrapper = model, wrapper
        self.inner_count = wrapper.inner_count
        self._window = wrapper.accumulation_state()
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
        self._rng = capture_rng()

    def restore(self) -> None:
        """Restores the state before the step: accumulated gradients, buffers and random generators."""
        self._wrapper.zero_grad()
        self._wrapper.load_accumulation_state(self._window)
        with torch.no_grad():
            for buffer, value in self._buffers:
                buffer.copy_(value)
        restore_rng(self._rng)


def batch_length(batch: Any) -> int:
    """Returns the number of samples in a batch: the length of its first tensor or list."""
    values = batch
    if isinstance(batch, Mapping):
        values = batch.values()
    for value in values:
        length = _length(value)
        if length is not None:
            return length
    return 1


def _length(value: object) -> int | None:
    """Returns the length of a tensor or list, or of the first one in a mapping; None for any other value."""
    if isinstance(value, torch.Tensor):
        if value.dim():
            return value.shape[0]
        return None
    if isinstance(value, Mapping):
        return next((length for entry in value.values() if (length := _length(entry)) is not None), None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value)
    return None


def split_batch(batch: Any, num_parts: int) -> list[Any]:
    """Splits a batch into parts of nearly equal size, which have the same containers as the batch.

    Args:
        batch: a mapping or a sequence of tensors and lists with an entry for each sample; other values are in every
            part.
        num_parts: number of parts, at most the number of samples.
    """
    length = batch_length(batch)
    edges = [round(index * length / num_parts) for index in range(num_parts + 1)]
    cuts: list[Callable[[Any], Any]] = [_cut(length, *edge) for edge in pairwise(edges)]
    if isinstance(batch, Mapping):
        return [{key: cut(value) for key, value in batch.items()} for cut in cuts]
    return [type(batch)([cut(value) for value in batch]) for cut in cuts]


def _cut(length: int, begin: int, end: int) -> Callable[[Any], Any]:
    """Returns a function that takes the samples ``begin`` to ``end`` out of one value of a batch.

    Args:
        length: number of samples in the batch. Only tensors and lists of this length are cut, also inside mappings;
            other values are returned unchanged.
        begin: first sample of the part.
        end: sample after the last one of the part.
    """

    def cut(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: cut(entry) for key, entry in value.items()}
        if _length(value) == length:
            return value[begin:end]
        return value

    return cut


def _average(outputs: list[dict[str, torch.Tensor]], shares: list[Any]) -> dict[str, torch.Tensor]:
    """Averages the logged values of the parts, weighted by their shares."""
    total = sum(shares)
    averages = {}
    for name in outputs[0]:
        averages[name] = sum(output[name] * (share / total) for output, share in zip(outputs, shares, strict=True))
    return averages
