"""AmpOptimWrapper: an optimizer wrapper for mixed precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import nn

from eng.logging.near_names import suggest
from eng.optim._clip import total_norm
from eng.optim.errors import OptimError, OptimTypeError
from eng.registry import OPTIM_WRAPPERS

from .optimizer_wrapper import OptimWrapper


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Updates parameters in mixed precision: autocast in the forward, and loss scaling for float16.

    All devices that ``torch.amp`` supports can be used; the device is that of the optimizer's parameters. Only with
    float16 is the loss multiplied by a scale before the backward, since the small exponent range of float16 would turn
    small gradients into zero.

    Args:
        loss_scale: ``"dynamic"`` (default) adapts the scale during training, a number is a fixed scale, and a dict has
            arguments of :class:`torch.amp.GradScaler`.
        dtype: type that the forward computes in: ``"float16"``, ``"bfloat16"``, ``"float32"``, ``"float64"`` or a
            ``torch.dtype``. None (default) is bfloat16 on a CPU and float16 on other devices. With float32 and float64
            the forward runs without autocast.
        use_fsdp: whether to scale the loss with ``ShardedGradScaler``, which a model in torch's FSDP 1 class
            ``FullyShardedDataParallel`` needs. Defaults to False.
        **kwargs: arguments of :class:`OptimWrapper`.

    Raises:
        OptimTypeError: ``loss_scale`` or ``dtype`` has the wrong type (a TypeError).
        OptimError: ``dtype`` is unknown (a ValueError).

    Examples:
        >>> model = nn.Linear(2, 1)
        >>> optim_wrapper = AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with optim_wrapper.optim_context(model):
        ...     output = model(torch.ones(1, 2))
        >>> output.dtype
        torch.bfloat16
        >>> optim_wrapper.update_params(output.float().sum())
    """

    valid_dtypes: ClassVar = ("float16", "bfloat16", "float32", "float64")

    def __init__(
        self,
        loss_scale: str | float | dict[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._scaler_settings = _scaler_settings(loss_scale)
        self._scale_update_param: float | None = None
        # A fixed scale is passed to GradScaler.update after each step, which would change the scale otherwise.
        if isinstance(loss_scale, (int, float)):
            self._scale_update_param = float(loss_scale)
        self.cast_dtype = _dtype(dtype, self.valid_dtypes)
        self._use_fsdp = use_fsdp

    @cached_property
    def loss_scaler(self) -> torch.amp.GradScaler:
        """The scaler that multiplies the loss; disabled unless the forward computes in float16."""
        # The scaler is built at first use, since parameters may move to another device after the wrapper was created.
        settings = {"enabled": self._compute_dtype() is torch.float16, **self._scaler_settings}
        if self._use_fsdp:
            from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

            return ShardedGradScaler(self._device_type(), **settings)
        return torch.amp.GradScaler(self._device_type(), **settings)

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of the scaled loss to the parameters' gradients; see :meth:`OptimWrapper.backward`."""
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Updates the parameters if all gradients are finite, and adapts the loss scale.

        If a gradient is NaN or infinite, the update is skipped and a dynamic loss scale is lowered.

        Args:
            **kwargs: arguments of :meth:`torch.optim.Optimizer.step`.
        """
        if not self.loss_scaler.is_enabled():
            super().step(**kwargs)
            return
        if self._window is not None:
            self._close_window()
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        if self.wants_grad_norm:
            self._measure_scaled_norm()
        self._updates += self._step_if_finite(**kwargs)
        self._last_update_at = self._inner_count

    def _measure_scaled_norm(self) -> None:
        """Stores the norm of all gradients in ``grad_norm``, divided by the loss scale that the gradients contain."""
        self.wants_grad_norm = False
        norm = total_norm(self._parameters())
        # With clip_grad, GradScaler.unscale_ has already divided the gradients by the loss scale in place.
        if norm is not None and not self.clip_grad_kwargs:
            norm = norm / self.loss_scaler.get_scale()
        self.grad_norm = norm

    def _step_if_finite(self, **kwargs: Any) -> bool:
        """Lets the loss scaler call the optimizer's step, which the scaler skips if gradients overflowed.

        Returns:
            whether the optimizer updated the parameters.
        """
        # The scaler does not return whether it skipped the step. A step hook of the optimizer runs only in a step that
        # was not skipped. A fused optimizer skips the update inside its step and runs the hook all the same, and some
        # optimizers have no hooks; for both a loss scale that became smaller shows that the update was skipped.
        is_fused = any(group.get("fused") for group in self.optimizer.param_groups)
        if is_fused or not hasattr(self.optimizer, "register_step_post_hook"):
            before = self.loss_scaler.get_scale()
            self.loss_scaler.step(self.optimizer, **kwargs)
            self.loss_scaler.update(self._scale_update_param)
            return bool(self.loss_scaler.get_scale() >= before)
        steps: list[None] = []
        handle = self.optimizer.register_step_post_hook(lambda *_: steps.append(None))
        try:
            self.loss_scaler.step(self.optimizer, **kwargs)
        finally:
            handle.remove()
        self.loss_scaler.update(self._scale_update_param)
        return bool(steps)

    def state_dict(self) -> dict[str, Any]:
        """Returns the optimizer's state, with the loss scaler's state under ``loss_scaler`` (empty without float16)."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state of an earlier run; see :meth:`BaseOptimWrapper.load_state_dict`.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run. ``loss_scaler`` may be missing, and is
                ignored if this wrapper does not scale the loss.
        """
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        if scaler and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Returns the context for a forward: that of :meth:`OptimWrapper.optim_context`, with autocast.

        Args:
            model: the model, in its distributed wrapper if it has one.
        """
        dtype: torch.dtype | None = self._compute_dtype()
        enabled = dtype in (torch.float16, torch.bfloat16)
        if not enabled:
            dtype = None
        with super().optim_context(model), torch.autocast(self._device_type(), dtype=dtype, enabled=enabled):
            yield

    def _device_type(self) -> str:
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        first = next(parameters, None)
        if first is None or first.device.type == "meta":
            return "cpu"
        return str(first.device.type)

    def _compute_dtype(self) -> torch.dtype:
        if self.cast_dtype is not None:
            return self.cast_dtype
        if self._device_type() == "cpu":
            return torch.bfloat16
        return torch.float16


def _scaler_settings(loss_scale: Any) -> dict[str, Any]:
    """Converts the setting ``loss_scale`` to arguments of ``torch.amp.GradScaler``."""
    if loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, Mapping):
        return dict(loss_scale)
    if isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool):
        return {"init_scale": float(loss_scale)}
    raise OptimTypeError(f"loss_scale must be 'dynamic', a number or arguments of GradScaler, got {loss_scale!r}")


def _dtype(dtype: Any, valid: tuple[str, ...]) -> torch.dtype | None:
    """Converts the name of a dtype, which must be among ``valid``, to a ``torch.dtype``; None stays None."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if not isinstance(dtype, str):
        raise OptimTypeError(f"dtype must be a name or a torch.dtype, got {dtype!r}")
    if dtype not in valid:
        raise OptimError(f"dtype must be one of {', '.join(valid)}, got {dtype!r}{suggest(dtype, valid)}")
    return getattr(torch, dtype)  # type: ignore[no-any-return]  # the names above are dtypes
