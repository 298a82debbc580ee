"""Activation checkpointing by module names: less memory for more computing."""

from __future__ import annotations

import difflib
import functools
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


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
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; there are {list(known)[1:9]} ..."
            raise ValueError(f"activation_checkpointing names {name!r}, which {type(model).__name__} lacks{hint}")
        _wrap_forward(known[name])


def _wrap_forward(module: nn.Module) -> None:
    forward = module.forward

    @functools.wraps(forward)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    module.forward = checkpointed  # a wrapper module would rename the parameters
