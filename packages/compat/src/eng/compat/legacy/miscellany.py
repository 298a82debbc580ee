"""Helper functions that old code imports from several modules of MMEngine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint


def wrap_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `forward` with activation checkpointing: activations are recomputed in the backward pass, not stored."""

    def checkpointed(*args: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False)

    return checkpointed


def check_kineto() -> bool:
    """Whether this torch has the Kineto profiler."""
    return bool(torch.autograd.kineto_available())  # type: ignore[attr-defined,unused-ignore]  # torch's type stubs do not export this function


def __getattr__(name: str) -> Any:
    if name == "InferencerMeta":  # Imported at its first use, because eng.infer imports models and datasets.
        from eng.infer import BaseInferencer

        return type(BaseInferencer)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
