"""EngineModel: the wrapper of a model that trains through DeepSpeed's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from eng.checkpoint.torch_internals import tree_map_only
from eng.model._steps import run_forward, train_wrapped
from eng.optim import OptimWrapper
from eng.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class EngineModel(nn.Module):
    """Wraps a model, and runs its ``forward`` through DeepSpeed's engine as soon as the attribute ``engine`` is set.

    Args:
        module: the model to wrap.

    Attributes:
        splits_updates: True, because each rank updates only a part of the parameters. If one rank skips an update, all
            ranks must skip it.
    """

    engine: Any
    splits_updates = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module
        object.__setattr__(self, "engine", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "engine":  # Not registered as a submodule, because the engine contains the model.
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model's ``forward``, through DeepSpeed's engine if the engine has been created."""
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
    """Makes a model cast floating-point tensors in the arguments of its ``forward``, in training and evaluation.

    Args:
        model: the model, whose weights have the type ``dtype``.
        dtype: the half-precision type to cast to.
        only: names and positions of the arguments to cast; None casts all arguments.
    """

    def cast_tensor(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            return tensor.to(dtype)
        return tensor

    def cast(key: str | int, value: object) -> Any:
        if only is not None and key not in only:
            return value
        return tree_map_only(torch.Tensor, cast_tensor, value)

    def before_forward(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return tuple(cast(i, value) for i, value in enumerate(args)), {k: cast(k, value) for k, value in kwargs.items()}

    model.register_forward_pre_hook(before_forward, with_kwargs=True)
