"""``mmengine._strategy.deepspeed``: optimizer wrapper and model wrapper for DeepSpeed's engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eng.optim import BaseOptimWrapper
from eng.registry import OPTIM_WRAPPERS, OPTIMIZERS

from .kinds import DeepSpeedStrategy, MMDeepSpeedEngineWrapper

__all__ = ["DeepSpeedOptimWrapper", "DeepSpeedStrategy", "MMDeepSpeedEngineWrapper", "register_deepspeed_optimizers"]


def register_deepspeed_optimizers() -> list[str]:
    """Registers the optimizers of DeepSpeed and returns their names; an empty list if it is not installed."""
    try:
        from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        from deepspeed.ops.lamb import FusedLamb  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError:
        return []
    names = []
    for optimizer in (DeepSpeedCPUAdam, FusedAdam, FusedLamb):
        OPTIMIZERS.register_module(module=optimizer, force=True)
        names.append(optimizer.__name__)
    return names


@OPTIM_WRAPPERS.register_module()
class DeepSpeedOptimWrapper(BaseOptimWrapper):
    """Optimizer wrapper whose backward and step call DeepSpeed's engine.

    Args:
        optimizer: the optimizer that the engine created.
    """

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self._model: Any = None

    @property
    def model(self) -> Any:
        """DeepSpeed's engine.

        Raises:
            ValueError: the engine has not been set.
        """
        if self._model is None:
            raise ValueError("DeepSpeedOptimWrapper.model must be set to DeepSpeed's engine before it is used")
        return self._model

    @model.setter
    def model(self, value: Any) -> None:
        self._model = value

    def update_params(self, loss: torch.Tensor) -> None:
        """Calls backward and step of the engine, which accumulates and clips gradients according to its own config."""
        self.backward(loss)
        self.step()

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Calls the backward pass of DeepSpeed's engine; `kwargs` are ignored."""
        self.model.backward(loss)

    def zero_grad(self, **kwargs: Any) -> None:
        """Raises NotImplementedError, because the engine clears gradients itself.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("DeepSpeed's engine clears gradients itself: leave out the call of zero_grad")

    def step(self, **kwargs: Any) -> None:
        """Calls the optimizer step of DeepSpeed's engine; `kwargs` are ignored."""
        self.model.step()

    def state_dict(self) -> dict[str, Any]:
        """Returns ``base_param_settings``, if set; the engine saves the optimizer state itself."""
        return {"base_param_settings": self.base_param_settings} if self.base_param_settings is not None else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state that :meth:`state_dict` returned."""
        self.base_param_settings = state_dict.get("base_param_settings", self.base_param_settings)
