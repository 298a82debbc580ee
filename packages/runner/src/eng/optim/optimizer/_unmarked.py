"""Methods of torch's optimizers without the marks that they set for a profiler, where none runs.

A mark takes longer than a small step. Where a profiler runs, hooks are registered or somebody put a method of their own
in place, torch's way is taken; so it is where a torch lacks one of the private names that tell. Only an observer that
torch does not tell of, such as an execution trace without a profiler around it, misses the marks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch.autograd import profiler
from torch.optim import Optimizer

_HOME = import_module(Optimizer.__module__)
_GLOBAL_HOOKS = [getattr(_HOME, f"_global_optimizer_{when}_hooks", None) for when in ("pre", "post")]
_is_enabled_below: Any = getattr(torch.autograd, "_profiler_enabled", None)
_CAN_TELL = None not in (*_GLOBAL_HOOKS, _is_enabled_below) and hasattr(profiler, "_is_profiler_enabled")
_MARKING: Any = Optimizer.profile_hook_step(lambda: None).__code__ if _CAN_TELL else object()
_ZERO_GRAD = Optimizer.zero_grad


def step(optimizer: Any, **kwargs: Any) -> None:
    """``optimizer.step(**kwargs)``."""
    marked: Any = getattr(type(optimizer), "step", None)
    if (
        getattr(marked, "__code__", None) is not _MARKING
        or "step" in vars(optimizer)
        or _is_watched()
        or getattr(optimizer, "_optimizer_step_pre_hooks", True)
        or getattr(optimizer, "_optimizer_step_post_hooks", True)
    ):
        optimizer.step(**kwargs)
    else:
        marked.__wrapped__(optimizer, **kwargs)


def zero_grad(optimizer: Any, **kwargs: Any) -> None:
    """``optimizer.zero_grad(**kwargs)``."""
    forget = optimizer.zero_grad
    if kwargs or getattr(forget, "__func__", None) is not _ZERO_GRAD or _is_watched():
        forget(**kwargs)
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _is_watched() -> bool:
    if not _CAN_TELL or profiler._is_profiler_enabled or any(_GLOBAL_HOOKS):  # noqa: SLF001  # made to be asked fast
        return True
    return bool(_is_enabled_below())  # one that was started without torch's Python classes
