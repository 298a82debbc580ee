"""Activation checkpointing by module names: less memory for more computing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from eng.logging.near_names import near


def turn_on_activation_checkpointing(model: nn.Module, modules: list[str] | str) -> None:
    """Makes some modules recompute their activations in the backward pass instead of keeping them.

    The names of parameters and the results stay the same.

    Args:
        model: the model.
        modules: dotted names of its modules, such as ``"backbone.layer1"``.

    Raises:
        ValueError: the model has no such module; near names are given.

    Source: Chen et al. 2016, arXiv:1604.06174.
    """
    known = dict(model.named_modules())
    for name in [modules] if isinstance(modules, str) else modules:
        if name not in known:
            hint = near(name, known, otherwise=f"; there are {list(known)[1:9]} ...")
            raise ValueError(f"activation_checkpointing names {name!r}, which {type(model).__name__} lacks{hint}")
        _wrap_forward(known[name])


def _wrap_forward(module: nn.Module) -> None:
    if not isinstance(vars(module).get("forward"), _Checkpointed):
        # A wrapper module would rename the parameters.
        module.forward = _Checkpointed(module, vars(module).get("forward"))


class _Checkpointed:
    """The forward of a module, whose activations are computed again in the backward pass.

    It holds the module and not its bound method, so that a deep copy or a pickle of the module calls the copy's own.

    Args:
        module: the module.
        forward: a forward that was set on this one module; None takes that of its class.
    """

    def __init__(self, module: nn.Module, forward: Any = None) -> None:
        self.module, self.forward = module, forward

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return checkpoint(self._function(), *args, use_reentrant=False, **kwargs)

    def _function(self) -> Callable[..., Any]:
        if self.forward is not None:
            own: Callable[..., Any] = self.forward
            return own
        return MethodType(type(self.module).forward, self.module)
