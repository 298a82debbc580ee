"""Replaces ``mmengine.utils.dl_utils.trace``."""

from __future__ import annotations

import torch


def is_jit_tracing() -> bool:
    """Whether `torch.jit.trace` is currently tracing a model."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]  # torch has no type annotations for this public function
