"""OptimWrapper: updates parameters in full precision, with gradient accumulation and gradient clipping."""

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
    """Updates parameters from losses: backward, gradient accumulation, gradient clipping, step and ``zero_grad``.

    The losses whose gradients are summed for one update form an accumulation window. Accumulation is exact:
    ``accumulative_counts`` losses, each a mean over the same number of samples, give the gradient of the mean over all
    samples of the window. The last window of a run may have fewer losses (see :meth:`initialize_count_status`); its
    gradients are divided by its own number of losses. Losses that are means over different numbers of samples or tokens
    need the argument ``weight`` of :meth:`update_params`.

    Args:
        optimizer: the optimizer whose parameters are updated.
        accumulative_counts: number of losses in an accumulation window, that is, per update. Defaults to 1.
        clip_grad: arguments of ``clip_grad_norm_`` (``dict(max_norm=35)``) or ``clip_grad_value_``
            (``dict(clip_value=0.2)``) of ``torch.nn.utils``, and optionally ``type="norm"`` or ``type="value"``. The
            norm is logged as ``train/grad_norm``. None (default) clips nothing.
        skip_nonfinite: whether an update is skipped if a gradient is NaN or infinite; weights and optimizer state stay
            unchanged then. The host does not wait for the device to decide. Takes the memory of a second copy of the
            weights and of the optimizer state. Defaults to False.

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
        part_clock: clock that measures the time of backward and step; None if the run does not measure times.
        wants_grad_norm: a caller sets this attribute to True to have the norm of all gradients measured in the next
            update.
        grad_norm: the gradient norm that was measured last, as a 0-dim tensor; None before the first measurement.
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
        self._guard: NonFiniteGuard | None = None
        self._guards: list[NonFiniteGuard] = []
        if skip_nonfinite:
            self._guard = NonFiniteGuard()
            self._guards.append(self._guard)
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
        """Adds the gradients of a loss and, at the end of an accumulation window, updates the parameters.

        Args:
            loss: the loss of a batch, as a 0-dim tensor.
            step_kwargs: keyword arguments for the optimizer's method ``step``.
            zero_kwargs: keyword arguments for the optimizer's method ``zero_grad``.
            weight: number of samples or tokens over which ``loss`` is the mean, as a number or a 0-dim tensor. With
                weights, the update uses the gradient of ``sum(weight_i * loss_i) / sum(weight_i)`` over the losses of
                the window and, if gradients are averaged over ranks, over all ranks. None (default) weighs all losses
                of a window equally.

        Raises:
            OptimTypeError: ``loss`` is no tensor (a TypeError).
            OptimError: a window mixes losses with and without a weight (a ValueError).
        """
        if not isinstance(loss, torch.Tensor):
            raise OptimTypeError(f"update_params takes the loss as a tensor, got {type(loss).__name__}: {loss!r}")
        loss = self._scale_or_weigh(loss, weight)
        clock = self.part_clock
        previous = OTHER
        if clock is not None:
            previous = clock.switch(BACKWARD)
        self.backward(loss)
        if self.should_update():
            if clock is not None:
                clock.switch(STEP)
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))
        if clock is not None:
            clock.switch(previous)

    def add_gradients(self, loss: torch.Tensor, weight: float | torch.Tensor | None = None) -> None:
        """Adds the gradients of one part of a loss, without counting the part as a loss of the accumulation window.

        A loss that is too large for one backward can be differentiated in several parts: call this method for all parts
        except the last, and :meth:`update_params` for the last part.

        Args:
            loss: the part of the loss, as a 0-dim tensor. If no weights are used, the parts must sum to the loss.
            weight: number of samples or tokens over which the part is the mean; see :meth:`update_params`.
        """
        self.backward(self._scale_or_weigh(loss, weight))
        self._inner_count -= 1

    def _scale_or_weigh(self, loss: torch.Tensor, weight: float | torch.Tensor | None) -> torch.Tensor:
        if weight is None:
            return self.scale_loss(loss)
        return self._weigh(loss, weight)

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of a loss to the parameters' gradients, and counts the loss.

        The loss is not divided by the length of the accumulation window, which :meth:`scale_loss` does.

        Args:
            loss: the loss, as a 0-dim tensor.
            **kwargs: arguments of :meth:`torch.Tensor.backward`.
        """
        loss.backward(**kwargs)
        self._inner_count += 1

    def zero_grad(self, **kwargs: Any) -> None:
        """Clears the gradients of all parameters.

        Args:
            **kwargs: arguments of :meth:`torch.optim.Optimizer.zero_grad`.
        """
        self.optimizer.zero_grad(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clips the gradients, if ``clip_grad`` is set, and updates the parameters.

        Args:
            **kwargs: arguments of :meth:`torch.optim.Optimizer.step`.
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
        """Updates the parameters with the gradients of an unfinished accumulation window, at the end of a run.

        If no window is unfinished, the parameters stay unchanged. Sharded gradients cannot be averaged here; they are
        discarded with a warning.

        Args:
            model: the model. If the model has ``no_sync``, the ranks have not averaged the gradients of the unfinished
                window yet, and this method averages them.
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
        """Returns the context for the forward and backward of the next loss.

        In this context the ranks do not average gradients, unless the loss is the last of its accumulation window.

        Args:
            model: the model. Without a method ``no_sync``, which DistributedDataParallel has, the context does nothing.
        """
        if self.should_sync() or not hasattr(model, "no_sync"):
            return nullcontext()
        if getattr(model, "static_graph", False) and not self._has_shown_graph:
            # With static_graph=True, DistributedDataParallel records the graph in the first backward, which therefore
            # must average gradients.
            self._has_shown_graph = True
            return nullcontext()
        no_sync: AbstractContextManager[None] = model.no_sync()  # type: ignore[operator]  # modules give Tensor | Module
        return no_sync

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Sets the number of losses so far and of the complete run, before training starts.

        With these numbers the wrapper knows that the last accumulation window of the run is shorter than
        ``accumulative_counts``, and divides its gradients by the right number of losses.

        Args:
            model: the model. Its parameters' names are stored; with BatchNorm layers, accumulation logs a warning.
            init_counts: number of losses so far; above 0 after a resume.
            max_counts: number of losses of the complete run.
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
        """Whether the loss that was counted last ends an accumulation window or the run, so that an update follows."""
        return self._inner_count % self._accumulative_counts == 0 or self._inner_count == self._max_counts

    def should_sync(self) -> bool:
        """Whether the next loss will end an accumulation window or the run, so that ranks must average gradients."""
        following = self._inner_count + 1
        return following % self._accumulative_counts == 0 or following == self._max_counts

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Returns the loss divided by the number of losses of its accumulation window.

        Args:
            loss: the next loss of the window, as a 0-dim tensor.

        Raises:
            OptimError: the window began with losses that have a weight, so this loss needs a weight too.
        """
        if self._accumulative_counts == 1:
            return loss
        if self._window is not None:
            raise OptimError("this accumulation window began with weighted losses: give this one's weight too")
        if self._window_lost:
            self._tell_lost_window()
        counts = self._window_length()
        if counts == 1:
            return loss
        return loss / counts

    # accumulative_counts and skips_nonfinite are cached properties, since a subclass may assign to a cached property,
    # but not to a plain property.
    @cached_property
    def accumulative_counts(self) -> int:
        """Number of losses in an accumulation window, that is, per update."""
        return self._accumulative_counts

    @cached_property
    def skips_nonfinite(self) -> bool:
        """Whether updates with a gradient that is NaN or infinite are skipped."""
        return self._guard is not None

    @property
    def update_count(self) -> int:
        """Number of updates so far, without skipped updates.

        The number of skipped updates is on the device, so reading this property may wait for the device.
        """
        return self._updates - self._skipped()

    @update_count.setter
    def update_count(self, count: int) -> None:
        self._updates = count + self._skipped()

    def count_skips_of(self, guard: NonFiniteGuard) -> None:
        """Makes :attr:`update_count` also leave out the steps that another guard, ``guard``, undoes."""
        self._guards.append(guard)

    def _skipped(self) -> int:
        return sum(int(guard.skipped) for guard in self._guards if guard.skipped is not None)

    @property
    def inner_count(self) -> int:
        """Number of losses so far, over all accumulation windows."""
        return self._inner_count

    @property
    def last_step_finite(self) -> torch.Tensor | None:
        """Whether the last step's gradients were finite, as a 0-dim bool tensor; None without ``skip_nonfinite``."""
        if self._guard is None:
            return None
        return self._guard.finite

    @property
    def skipped_count(self) -> torch.Tensor | None:
        """Number of updates that were skipped because a gradient was NaN or infinite, as a 0-dim int64 tensor.

        None without ``skip_nonfinite``, and before the first step.
        """
        if self._guard is None:
            return None
        return self._guard.skipped

    def accumulation_state(self) -> dict[str, Any]:
        """Returns the unfinished accumulation window of this rank, so that a checkpoint can save the window.

        Returns:
            a dict with ``inner_count`` (number of losses so far), ``update_count`` (number of updates so far),
            ``window_start`` (number of losses before the window), ``gradients`` (copies by parameter name; empty if no
            window is unfinished) and ``weight`` (sum of the weights of the window's losses; None without weights).
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
            if self._window is not None:
                state["weight"] = self._window.total
        return state

    def load_accumulation_state(self, state: Mapping[str, Any]) -> None:
        """Restores an unfinished accumulation window of an earlier run, with the gradients of the parameters.

        Args:
            state: the state of this rank, as :meth:`accumulation_state` returned the state in the earlier run.
        """
        self._inner_count = self._restored_count = state["inner_count"]
        self._window_lost = False
        self.update_count = state["update_count"]
        start = self._inner_count
        if state["gradients"] or state["weight"] is not None:
            start -= self._inner_count % self._accumulative_counts
        self._last_update_at = state.get("window_start", start)
        self._window = None
        if state["weight"] is not None:
            self._window = WeightedWindow(state["weight"])
        restore_gradients(self.named_parameters(), state["gradients"])

    def _window_start(self) -> int:
        """Returns the number of losses that were counted before the accumulation window that the next loss is in."""
        regular = self._inner_count - self._inner_count % self._accumulative_counts
        return max(regular, min(self._last_update_at, self._inner_count))

    def _window_length(self) -> int:
        """Returns the number of losses in the accumulation window that the next loss is in.

        The last window of a run, and the first after a resume without saved gradients, may have fewer losses than
        ``accumulative_counts``.
        """
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
        """Logs, once, that a resumed run lacks the gradients of the accumulation window in which it was stopped."""
        # The warning is logged at the first loss and not in initialize_count_status, because load_accumulation_state
        # may restore the window after initialize_count_status was called.
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
        if norm is not None:  # clip_grad_value_ returns no norm.
            self.message_hub.update_scalar(f"train/{self.grad_name}", full_tensor(norm).detach())

    def __repr__(self) -> str:
        return (
            f"Type: {type(self).__name__}\n_accumulative_counts: {self._accumulative_counts}\n"
            f"optimizer: \n{self.optimizer!r}\n"
        )
