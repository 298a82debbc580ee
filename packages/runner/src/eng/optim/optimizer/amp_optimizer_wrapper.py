"""AmpOptimWrapper: the update in mixed precision."""

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
    """Updates parameters in mixed precision, on any device that ``torch.amp`` serves.

    The device is that of the optimizer's parameters. Losses are scaled only for float16, the one type that needs it.

    Args:
        loss_scale: ``"dynamic"`` (default), a number for a fixed scale, or arguments of
            :class:`torch.amp.GradScaler`.
        dtype: type to compute in: ``"float16"``, ``"bfloat16"``, ``"float32"``, ``"float64"`` or a ``torch.dtype``.
            None (default) is bfloat16 on a CPU and float16 elsewhere. The last two compute without autocast.
        use_fsdp: scale with ``ShardedGradScaler``, for FullyShardedDataParallel of FSDP 1. Defaults to False.
        **kwargs: of :class:`OptimWrapper`.

    Raises:
        OptimTypeError: ``loss_scale`` or ``dtype`` is of another type (a TypeError).
        OptimError: an unknown ``dtype`` (a ValueError).

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
        self._scale_update_param = float(loss_scale) if isinstance(loss_scale, (int, float)) else None
        self.cast_dtype = _dtype(dtype, self.valid_dtypes)
        self._use_fsdp = use_fsdp

    @cached_property
    def loss_scaler(self) -> torch.amp.GradScaler:
        """The scaler; it does nothing where the type to compute in needs no scaling."""
        # Built at first use: parameters may still move to another device after the wrapper is made.
        settings = {"enabled": self._compute_dtype() is torch.float16, **self._scaler_settings}
        if self._use_fsdp:
            from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

            return ShardedGradScaler(self._device_type(), **settings)
        return torch.amp.GradScaler(self._device_type(), **settings)

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of the scaled loss, and counts it; see :meth:`OptimWrapper.backward`."""
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Updates the parameters where the unscaled gradients are finite, and adapts the scale.

        Args:
            **kwargs: of :meth:`torch.optim.Optimizer.step`.
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
        """Measures the norm of the gradients without their scale, which clipping has taken away already."""
        self.wants_grad_norm = False
        norm = total_norm(self._parameters())
        if norm is not None and not self.clip_grad_kwargs:
            norm = norm / self.loss_scaler.get_scale()
        self.grad_norm = norm

    def _step_if_finite(self, **kwargs: Any) -> bool:
        """Steps by the scaler, which skips gradients that overflowed, and says whether the optimizer stepped."""
        # A fused optimizer skips by itself, and others may have no hooks: there only a scale that went down shows it.
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
        """The optimizer's state, and the scaler's under ``loss_scaler`` (empty where it does nothing)."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over the state of an earlier run; see :meth:`BaseOptimWrapper.load_state_dict`.

        Args:
            state_dict: with or without ``loss_scaler``, which matters only where losses are scaled.
        """
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        if scaler and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Around the forward: mixed precision, and see :meth:`OptimWrapper.optim_context`.

        Args:
            model: the model.
        """
        dtype = self._compute_dtype()
        enabled = dtype in (torch.float16, torch.bfloat16)
        with (
            super().optim_context(model),
            torch.autocast(self._device_type(), dtype=dtype if enabled else None, enabled=enabled),
        ):
            yield

    def _device_type(self) -> str:
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        first = next(parameters, None)
        return "cpu" if first is None or first.device.type == "meta" else first.device.type

    def _compute_dtype(self) -> torch.dtype:
        if self.cast_dtype is not None:
            return self.cast_dtype
        return torch.bfloat16 if self._device_type() == "cpu" else torch.float16


def _scaler_settings(loss_scale: Any) -> dict[str, Any]:
    if loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, Mapping):
        return dict(loss_scale)
    if isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool):
        return {"init_scale": float(loss_scale)}
    raise OptimTypeError(f"loss_scale must be 'dynamic', a number or arguments of GradScaler, got {loss_scale!r}")


def _dtype(dtype: Any, valid: tuple[str, ...]) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if not isinstance(dtype, str):
        raise OptimTypeError(f"dtype must be a name or a torch.dtype, got {dtype!r}")
    if dtype not in valid:
        raise OptimError(f"dtype must be one of {', '.join(valid)}, got {dtype!r}{suggest(dtype, valid)}")
    return getattr(torch, dtype)  # type: ignore[no-any-return]  # the names above are dtypes
