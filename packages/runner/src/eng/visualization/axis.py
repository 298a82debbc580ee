"""step_counts: sets the unit of the step (iteration or epoch) for scalars that are written inside a ``with`` block.

The unit is not an argument of ``add_scalars``, because visualizers of other libraries have MMEngine's signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_axis", "step_counts"]

_AXIS: ContextVar[str | None] = ContextVar("axis of scalars", default=None)


@contextmanager
def step_counts(axis: str) -> Iterator[None]:
    """Declares that the ``step`` of scalars counts ``axis``, ``"iter"`` or ``"epoch"``, inside the ``with`` block."""
    token = _AXIS.set(axis)
    try:
        yield
    finally:
        _AXIS.reset(token)


def current_axis() -> dict[str, str]:
    """Returns ``{"axis": ...}`` inside :func:`step_counts`, and an empty dict outside of it."""
    axis = _AXIS.get()
    if axis is None:
        return {}
    return {"axis": axis}
