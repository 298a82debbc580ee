"""The model behind DeepSpeed's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from eng.model._steps import run_forward, train_wrapped
from eng.optim import OptimWrapper
from eng.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class EngineModel(nn.Module):
    """A model whose training step runs through DeepSpeed's engine, once there is one.

    Args:
        module: the model.

    Attributes:
        splits_updates: each rank updates a part of the parameters, so that a step is refused by all or by none.
    """

    engine: Any
    splits_updates = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module
        object.__setattr__(self, "engine", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "engine":  # the engine holds the model already
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward, through the engine."""
        return (self.engine or self.module)(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
        """See :meth:`eng.model.BaseModel.train_step`."""
        return train_wrapped(self, data, optim_wrapper)

    def val_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.val_step`."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.test_step`."""
        return self.module.test_step(data)

    _run_forward = run_forward


def cast_inputs(model: nn.Module, dtype: torch.dtype, only: Sequence[str | int] | None = None) -> None:
    """Makes the model cast floating-point tensors in its inputs, in training and evaluation.

    Args:
        model: the model, whose weights are of this type.
        dtype: half type.
        only: names and positions of the inputs to cast; None casts all.
    """

    def cast(key: str | int, value: object) -> Any:
        if only is not None and key not in only:
            return value
        return tree_map_only(torch.Tensor, lambda t: t.to(dtype) if t.is_floating_point() else t, value)

    def before_forward(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return tuple(cast(i, value) for i, value in enumerate(args)), {k: cast(k, value) for k, value in kwargs.items()}

    model.register_forward_pre_hook(before_forward, with_kwargs=True)
