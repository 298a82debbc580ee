"""Optimizer wrappers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def wrappers_by_name(optim_wrapper: Any) -> dict[str, Any]:
    """Optimizer wrappers by name; a single one has the name ``""``."""
    inner = getattr(optim_wrapper, "optim_wrappers", None)
    if isinstance(inner, Mapping):
        return dict(inner)
    return {"": optim_wrapper}
