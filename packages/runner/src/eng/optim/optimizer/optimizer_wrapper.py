"""OptimWrapper: the update in full precision, with accumulation and clipping."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import full_tensor, is_dtensor
from eng.dist import all_reduce, get_world_size
from eng.logging import MessageHub
from eng.logging.parts import BACKWARD, OTHER, STEP, PartClock
from eng.optim._accumulation import WeightedWindow, gradients_of, has_batch_norm, restore_gradients
from eng.optim._clip import read_clip_grad, total_norm
from eng.optim._finite import NonFiniteGuard
from eng.optim.errors import OptimError, OptimTypeError
from eng.registry import OPTIM_WRAPPERS

from .base import BaseOptimWrapper

logger = logging.getLogger(__name__)


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(BaseOptimWrapper):
    """Updates parameters from losses: backward, accumulation over several calls, clipping, step and zeroing.

    Accumulation is exact. ``accumulative_counts`` losses that are means over equally many samples give the gradient
    of the mean over all of them, and the last, short window of a run (see :meth:`initialize_count_status`) that of
    its own. Losses that are means over different numbers of samples or tokens are given with their ``weight``.

    Args:
        optimizer: the optimizer.
        accumulative_counts: losses for each update. Defaults to 1.
        clip_grad: what ``clip_grad_norm_`` (``dict(max_norm=35)``) or ``clip_grad_value_`` (``dict(clip_value=0.2)``) of
            ``torch.nn.utils`` takes; ``type="norm"`` or ``"value"`` may stand with them. The norm is logged as
            ``train/grad_norm``. None (default) clips nothing.
        skip_nonfinite: where a gradient is NaN or infinite, leave weights and optimizer state as they were; decided
            on the device, without a synchronisation. Needs memory for a copy of both. Defaults to False.

    Raises:
        OptimError: a setting cannot work (a ValueError).
        OptimTypeError: a setting has another type (a TypeError).

    Examples:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optim_wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.5), accumulative_counts=2)
        >>> optim_wrapper.update_params((2 * weight).sum())
        >>> optim_wrapper.update_params((4 * weight).sum())
        >>> weight.item(), optim_wrapper.update_count
        (-0.5, 1)

    Attributes:
        part_clock: charges backward and step where a run measures its parts.
        wants_grad_norm: set to have the norm of all gradients measured in the next update.
        grad_norm: the norm that was measured last, on the parameters' device; None before.
    """

    part_clock: PartClock | None = None
    wants_grad_norm = False
    grad_norm: torch.Tensor | None = None

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
        skip_nonfinite: bool = False,
    ) -> None:
        is_whole = isinstance(accumulative_counts, numbers.Real) and accumulative_counts % 1 == 0
        if not is_whole or accumulative_counts < 1:
            raise OptimError(f"accumulative_counts must be a whole number, 1 or more, got {accumulative_counts!r}")
        super().__init__(optimizer)
        self._accumulative_counts = int(accumulative_counts)
        self.clip_grad_kwargs: dict[str, Any] | None = None
        if clip_grad is not None:
            clip_type, self.clip_func, self.clip_grad_kwargs = read_clip_grad(clip_grad)
            self.grad_name = f"grad_{clip_type}"
        self.message_hub = MessageHub.get_current_instance()
        self._guard = NonFiniteGuard() if skip_nonfinite else None
        self._guards = [self._guard] if self._guard is not None else []
        self._updates = 0
        self._inner_count = 0
        self._last_update_at = 0
        self._has_shown_graph = False
        self._max_counts = -1
        self._remainder_counts = -1
        self._window: WeightedWindow | None = None
        self._window_lost = False
        self._restored_count: int | None = None

    def update_params(
        self,
        loss: torch.Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
        weight: float | torch.Tensor | None = None,
    ) -> None:
        """Adds the gradients of a loss and, at the end of a window, updates the parameters.

        Args:
            loss: 0-dim tensor to differentiate.
            step_kwargs: of the optimizer's ``step``.
            zero_kwargs: of the optimizer's ``zero_grad``.
            weight: how many samples or tokens ``loss`` is the mean of, as a number or a 0-dim tensor. The update then
                uses the gradient of ``sum(weight_i * loss_i) / sum(weight_i)`` over the window and, in a process
                group whose gradients are averaged, over all ranks. None (default) weighs all losses of a window
                equally.

        Raises:
            OptimTypeError: ``loss`` is no tensor (a TypeError).
            OptimError: a window mixes losses with and without a weight (a ValueError).
        """
        if not isinstance(loss, torch.Tensor):
            raise OptimTypeError(f"update_params takes the loss as a tensor, got {type(loss).__name__}: {loss!r}")
        loss = self.scale_loss(loss) if weight is None else self._weigh(loss, weight)
        times = self.part_clock
        previous = OTHER if times is None else times.switch(BACKWARD)
        self.backward(loss)
        if self.should_update():
            if times is not None:
                times.switch(STEP)
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))
        if times is not None:
            times.switch(previous)

    def add_gradients(self, loss: torch.Tensor, weight: float | torch.Tensor | None = None) -> None:
        """Adds the gradients of a part of a loss, whose last part :meth:`update_params` then takes and counts.

        Args:
            loss: 0-dim tensor to differentiate; without a weight, the part's share of the loss.
            weight: as of :meth:`update_params`.
        """
        loss = self.scale_loss(loss) if weight is None else self._weigh(loss, weight)
        self.backward(loss)
        self._inner_count -= 1

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of a loss, as it is, and counts it.

        Args:
            loss: 0-dim tensor.
            **kwargs: of :meth:`torch.Tensor.backward`.
        """
        loss.backward(**kwargs)
        self._inner_count += 1

    def zero_grad(self, **kwargs: Any) -> None:
        """Forgets all gradients.

        Args:
            **kwargs: of :meth:`torch.optim.Optimizer.zero_grad`.
        """
        self.optimizer.zero_grad(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clips the gradients, if asked for, and updates the parameters.

        Args:
            **kwargs: of :meth:`torch.optim.Optimizer.step`.
        """
        if self._window is not None:
            self._close_window()
        if self.clip_grad_kwargs:
            self._clip_grad()
        if self.wants_grad_norm:
            self.wants_grad_norm = False
            self.grad_norm = total_norm(self._parameters())
        if self._guard is None:
            self.optimizer.step(**kwargs)
        else:
            self._guard.step(self.optimizer, **kwargs)
        self._updates += 1
        self._last_update_at = self._inner_count

    def end_window(self, model: nn.Module | None = None) -> None:
        """Updates the parameters with the losses of a window that no further loss will fill; nothing between windows.

        Args:
            model: the model; where it has ``no_sync``, the gradients of such a window were not exchanged, and they are now.
        """
        counted = self._inner_count - self._window_start()
        if self._accumulative_counts == 1 or counted == 0 or not self._parameters():
            return
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        if any(map(is_dtensor, gradients)):
            logger.warning(
                "The last %d accumulated losses are not used: sharded gradients cannot be completed", counted
            )
            self.zero_grad()
            return
        if get_world_size() > 1 and hasattr(model, "no_sync"):
            for gradient in gradients:
                all_reduce(gradient, op="mean")
        if self._window is None:
            for gradient in gradients:
                gradient.mul_(self._window_length() / counted)
        self.step()
        self.zero_grad()

    def optim_context(self, model: nn.Module) -> AbstractContextManager[None]:
        """Around the forward: keeps a model with ``no_sync`` from exchanging gradients before a window ends.

        Args:
            model: the model.
        """
        if self.should_sync() or not hasattr(model, "no_sync"):
            return nullcontext()
        if getattr(model, "static_graph", False) and not self._has_shown_graph:
            self._has_shown_graph = True  # DDP records a static graph in the first backward that exchanges gradients
            return nullcontext()
        no_sync: AbstractContextManager[None] = model.no_sync()  # type: ignore[operator]  # modules give Tensor | Module
        return no_sync

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Tells where the run stands and how long it is, so that its last window has the right scale.

        Args:
            model: the model.
            init_counts: losses so far.
            max_counts: losses of the whole run.
        """
        if not self._names:
            self.name_parameters(model)
        self._inner_count = init_counts
        self._max_counts = max_counts
        self._remainder_counts = max_counts % self._accumulative_counts
        if self._accumulative_counts == 1:
            return
        is_restored = self._restored_count == init_counts
        self._window_lost = bool(init_counts % self._accumulative_counts) and not is_restored
        if not is_restored:
            self._last_update_at = init_counts
        if has_batch_norm(model):
            logger.warning(
                "Gradients are accumulated over %d batches, but BatchNorm sees each batch alone; results may differ "
                "slightly from those of one large batch",
                self._accumulative_counts,
            )

    def should_update(self) -> bool:
        """Whether a window, or the run, ends with the losses counted so far."""
        return self._inner_count % self._accumulative_counts == 0 or self._inner_count == self._max_counts

    def should_sync(self) -> bool:
        """Whether a window, or the run, ends with the next loss."""
        following = self._inner_count + 1
        return following % self._accumulative_counts == 0 or following == self._max_counts

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss, divided by the number of losses of the window that it belongs to.

        Args:
            loss: 0-dim tensor.

        Raises:
            OptimError: the window began with losses that have a weight.
        """
        if self._accumulative_counts == 1:
            return loss
        if self._window is not None:
            raise OptimError("this accumulation window began with weighted losses: give this one's weight too")
        if self._window_lost:
            self._tell_lost_window()
        counts = self._window_length()
        return loss if counts == 1 else loss / counts

    @cached_property  # unlike a property it lets a subclass set an attribute of this name
    def accumulative_counts(self) -> int:
        """Losses for each update."""
        return self._accumulative_counts

    @cached_property
    def skips_nonfinite(self) -> bool:
        """Whether steps with gradients that are not finite are skipped."""
        return self._guard is not None

    @property
    def update_count(self) -> int:
        """Number of updates so far, without those that were skipped, which is read from the device."""
        return self._updates - self._skipped()

    @update_count.setter
    def update_count(self, count: int) -> None:
        self._updates = count + self._skipped()

    def count_skips_of(self, guard: NonFiniteGuard) -> None:
        """Leaves steps that a guard of somebody else skips out of :attr:`update_count`."""
        self._guards.append(guard)

    def _skipped(self) -> int:
        return sum(int(guard.skipped) for guard in self._guards if guard.skipped is not None)

    @property
    def inner_count(self) -> int:
        """Number of losses so far."""
        return self._inner_count

    @property
    def last_step_finite(self) -> torch.Tensor | None:
        """Whether the gradients of the last step were finite: 0-dim bool tensor; None without ``skip_nonfinite``."""
        return None if self._guard is None else self._guard.finite

    @property
    def skipped_count(self) -> torch.Tensor | None:
        """How many updates ``skip_nonfinite`` has skipped: 0-dim int64 tensor; None before a step or without it."""
        return None if self._guard is None else self._guard.skipped

    def accumulation_state(self) -> dict[str, Any]:
        """The open accumulation window of this rank, as plain data and tensors.

        Returns:
            ``inner_count``, ``update_count``, ``window_start`` (the count at which the window began), ``gradients`` by
            parameter name (copies; empty between windows) and ``weight``, the sum of the weights in the window (None
            without weights).
        """
        state: dict[str, Any] = {
            "inner_count": self._inner_count,
            "window_start": self._window_start(),
            "update_count": self.update_count,
            "gradients": {},
            "weight": None,
        }
        if not self.should_update():
            state["gradients"] = gradients_of(self.named_parameters())
            state["weight"] = None if self._window is None else self._window.total
        return state

    def load_accumulation_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what :meth:`accumulation_state` gave; parameters get their gradients back.

        Args:
            state: the state of this rank.
        """
        self._inner_count = self._restored_count = state["inner_count"]
        self._window_lost = False
        self.update_count = state["update_count"]
        is_open = bool(state["gradients"]) or state["weight"] is not None
        start = self._inner_count - (self._inner_count % self._accumulative_counts if is_open else 0)
        self._last_update_at = state.get("window_start", start)
        self._window = None if state["weight"] is None else WeightedWindow(state["weight"])
        restore_gradients(self.named_parameters(), state["gradients"])

    def _window_start(self) -> int:
        """The count at which the window that the next loss belongs to began."""
        regular = self._inner_count - self._inner_count % self._accumulative_counts
        return max(regular, min(self._last_update_at, self._inner_count))

    def _window_length(self) -> int:
        """Losses of the window that the next loss belongs to; the last window of a run may be short."""
        regular = self._inner_count - self._inner_count % self._accumulative_counts
        end = regular + self._accumulative_counts
        if self._inner_count < self._max_counts:
            end = min(end, self._max_counts)
        return end - self._window_start()

    def _weigh(self, loss: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
        if self._window_lost:
            self._tell_lost_window()
        elif self._window is None and self._inner_count > self._window_start():
            raise OptimError("this accumulation window began with losses without a weight: weigh all or none")
        self._window = self._window or WeightedWindow()
        return self._window.weighed(loss, weight)

    def _tell_lost_window(self) -> None:
        # Not in initialize_count_status: the window may be restored after it.
        self._window_lost = False
        logger.warning(
            "The run goes on at count %d, inside a window of %d accumulated losses whose gradients were not saved; "
            "this window's update is the mean of fewer",
            self._inner_count, self._accumulative_counts,
        )  # fmt: skip

    def _close_window(self) -> None:
        assert self._window is not None
        self._window.normalise([p.grad for p in self._parameters()])
        self._window = None

    def _parameters(self) -> list[torch.Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]

    def _clip_grad(self) -> None:
        parameters = [p for p in self._parameters() if p.requires_grad]
        if not parameters or self.clip_grad_kwargs is None:
            return
        norm = self.clip_func(parameters, **self.clip_grad_kwargs)
        if norm is not None:  # clipping by value computes no norm
            self.message_hub.update_scalar(f"train/{self.grad_name}", full_tensor(norm).detach())

    def __repr__(self) -> str:
        return (
            f"Type: {type(self).__name__}\n_accumulative_counts: {self._accumulative_counts}\n"
            f"optimizer: \n{self.optimizer!r}\n"
        )
