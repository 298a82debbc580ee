"""Optimizers that do not load torch's compiler.

The first call of an optimizer's method imports ``torch._dynamo`` (torch 2.13): a second and 70 MB in every process, to
tell a compiler that may be tracing the call to look away. Before that import nothing can be tracing, so the methods are
called as they are; after it they are torch's own again. Two private names of torch are needed for it: where a torch
lacks them, its own way stays.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

_COMPILER = "torch._dynamo"
_HIDDEN_METHODS = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
_KEPT = "__dynamo_disable"  # where `torch._disable_dynamo` keeps what it calls


def spare_compiler(kinds: Iterable[type[Optimizer]]) -> None:
    """From now on optimizers of these kinds are made and used without loading the compiler; twice is once.

    Args:
        kinds: classes of optimizers. One that is in use already has loaded the compiler, and stays as it is.
    """
    if _COMPILER in sys.modules:
        return
    for name in _HIDDEN_METHODS:
        _spare_hidden(getattr(Optimizer, name))
    for kind in kinds:
        _spare_step(kind)


def _spare_hidden(method: Callable[..., Any]) -> None:
    plain: Any = getattr(method, "__wrapped__", None)
    if plain is None or hasattr(plain, _KEPT):
        return

    def call(*args: Any, **kwargs: Any) -> Any:
        if _COMPILER not in sys.modules:
            return plain(*args, **kwargs)
        with contextlib.suppress(AttributeError):
            delattr(plain, _KEPT)  # torch puts its own there
        return method(*args, **kwargs)

    setattr(plain, _KEPT, call)


def _spare_step(kind: type[Optimizer]) -> None:
    step: Any = vars(kind).get("step")
    if getattr(getattr(step, "__code__", None), "co_name", None) != "_use_grad":
        return
    plain = step.__wrapped__

    @functools.wraps(plain)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if _COMPILER in sys.modules:
            return step(self, *args, **kwargs)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return plain(self, *args, **kwargs)

    kind.step = call  # type: ignore[method-assign]  # before torch puts its profiler's wrapper around it
