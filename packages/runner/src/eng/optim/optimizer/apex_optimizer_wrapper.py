"""ApexOptimWrapper: mixed precision by NVIDIA's apex, for older projects that depend on apex."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import unwrap
from eng.registry import OPTIM_WRAPPERS

from .optimizer_wrapper import OptimWrapper


@OPTIM_WRAPPERS.register_module()
class ApexOptimWrapper(OptimWrapper):
    """Updates parameters in mixed precision by ``apex.amp``. New code is better off with :class:`AmpOptimWrapper`.

    The arguments are those of ``apex.amp.initialize``.

    Args:
        opt_level: ``"O0"`` is float32, ``"O1"`` mixed precision per operation, ``"O2"`` float16 except BatchNorm,
            ``"O3"`` float16. Defaults to ``"O1"``.
        loss_scale: ``"dynamic"`` (default) adapts the loss scale during training; a number is a fixed scale.
        enabled: whether apex is used; with False training runs in the model's own precision. Defaults to True.
        cast_model_type: dtype that the model's parameters are converted to. None (default) lets ``opt_level`` decide.
        patch_torch_functions: whether each function of torch computes in the precision that suits the function. None
            (default) lets ``opt_level`` decide.
        keep_batchnorm_fp32: whether BatchNorm layers stay in float32. None (default) lets ``opt_level`` decide.
        master_weights: whether the optimizer updates a float32 copy of float16 weights. None (default) lets
            ``opt_level`` decide.
        cast_model_outputs: dtype that the model's outputs are converted to. None (default) does not convert outputs.
        num_losses: number of losses with separate loss scales. Defaults to 1.
        verbosity: 0 turns the messages of apex off. Defaults to 1.
        min_loss_scale: smallest dynamic loss scale. None (default) sets no limit.
        max_loss_scale: largest dynamic loss scale. Defaults to 2**24.
        **kwargs: arguments of :class:`OptimWrapper`.

    Raises:
        ImportError: apex is not installed.
    """

    def __init__(
        self,
        opt_level: str = "O1",
        loss_scale: float | str | None = "dynamic",
        enabled: bool | None = True,
        cast_model_type: torch.dtype | None = None,
        patch_torch_functions: bool | None = None,
        keep_batchnorm_fp32: bool | str | None = None,
        master_weights: bool | None = None,
        cast_model_outputs: torch.dtype | None = None,
        num_losses: int = 1,
        verbosity: int = 1,
        min_loss_scale: float | None = None,
        max_loss_scale: float | None = 2.0**24,
        **kwargs: Any,
    ) -> None:
        self._apex_amp = _apex_amp()
        super().__init__(**kwargs)
        self._settings = {
            "opt_level": opt_level,
            "loss_scale": loss_scale,
            "enabled": enabled,
            "cast_model_type": cast_model_type,
            "patch_torch_functions": patch_torch_functions,
            "keep_batchnorm_fp32": keep_batchnorm_fp32,
            "master_weights": master_weights,
            "cast_model_outputs": cast_model_outputs,
            "num_losses": num_losses,
            "verbosity": verbosity,
            "min_loss_scale": min_loss_scale,
            "max_loss_scale": max_loss_scale,
        }
        self._pending_state: Any = None
        # apex marks an optimizer that it has prepared with this attribute, and refuses to prepare it twice. So an
        # optimizer with the attribute counts as initialized.
        self._is_initialized = hasattr(self.optimizer, "_amp_stash")

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of the scaled loss to the parameters' gradients; see :meth:`OptimWrapper.backward`."""
        with self._apex_amp.scale_loss(loss, self.optimizer) as scaled_loss:
            scaled_loss.backward(**kwargs)
        self._inner_count += 1

    def state_dict(self) -> dict[str, Any]:
        """Returns the optimizer's state, with the state of ``apex.amp`` (the loss scales) under ``apex_amp``."""
        return {**super().state_dict(), "apex_amp": self._apex_amp.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state of an earlier run.

        The state of apex is loaded later if apex is not initialized yet, which the first ``optim_context`` does.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run; ``apex_amp`` may be missing.
        """
        state = dict(state_dict)
        self._pending_state = state.pop("apex_amp", None)
        if self._is_initialized:
            self._load_pending()
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Returns the context for a forward: that of :meth:`OptimWrapper.optim_context`.

        The first call initializes apex with the model and the optimizer.

        Args:
            model: the model, in its distributed wrapper if it has one.
        """
        with super().optim_context(model):
            if not self._is_initialized:
                _, self.optimizer = self._apex_amp.initialize(unwrap(model), self.optimizer, **self._settings)
                self._is_initialized = True
                self._load_pending()
            yield

    def _load_pending(self) -> None:
        if self._pending_state is not None:
            self._apex_amp.load_state_dict(self._pending_state)
            self._pending_state = None


def _apex_amp() -> ModuleType:
    """Imports and returns the module ``apex.amp``; without apex the ImportError names the alternative."""
    try:
        amp = import_module("apex.amp")
    except ImportError as error:
        raise ImportError(
            "ApexOptimWrapper needs NVIDIA's apex (https://github.com/NVIDIA/apex); AmpOptimWrapper needs nothing"
        ) from error
    return amp
