"""``mmengine._strategy.deepspeed``: the parts around DeepSpeed's engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eng.optim import BaseOptimWrapper
from eng.registry import OPTIM_WRAPPERS, OPTIMIZERS

from .kinds import DeepSpeedStrategy, MMDeepSpeedEngineWrapper

__all__ = ["DeepSpeedOptimWrapper", "DeepSpeedStrategy", "MMDeepSpeedEngineWrapper", "register_deepspeed_optimizers"]


def register_deepspeed_optimizers() -> list[str]:
    """Registers DeepSpeed's own optimizers where it is installed, and gives their names."""
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
    """An optimizer whose backward and step are those of DeepSpeed's engine.

    Args:
        optimizer: the optimizer that the engine made.
    """

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The engine.

        Raises:
            ValueError: it has not been set.
        """
        if self._model is None:
            raise ValueError("DeepSpeedOptimWrapper.model must be set to DeepSpeed's engine before it is used")
        return self._model

    @model.setter
    def model(self, value: Any) -> None:
        self._model = value

    def update_params(self, loss: torch.Tensor) -> None:
        """Backward and step of the engine, which accumulates and clips by its own config."""
        self.backward(loss)
        self.step()

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """The engine's backward."""
        self.model.backward(loss)

    def zero_grad(self, **kwargs: Any) -> None:
        """Not supported: the engine clears gradients itself.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("DeepSpeed's engine clears gradients itself: leave out the call of zero_grad")

    def step(self, **kwargs: Any) -> None:
        """The engine's step."""
        self.model.step()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return {"base_param_settings": self.base_param_settings} if self.base_param_settings is not None else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads what :meth:`state_dict` gave."""
        self.base_param_settings = state_dict.get("base_param_settings", self.base_param_settings)
