"""Treat one optimizer wrapper and several wrappers alike, as a dict by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def wrappers_by_name(optim_wrapper: Any) -> dict[str, Any]:
    """Returns a dict of optimizer wrappers by name, from an :class:`OptimWrapperDict` or from a single wrapper.

    A single wrapper gets the name ``""``, so that callers can treat both alike.
    """
    inner = getattr(optim_wrapper, "optim_wrappers", None)
    if isinstance(inner, Mapping):
        return dict(inner)
    return {"": optim_wrapper}
