"""What the step of scalars counts, told around the call so that the call itself stays the reference's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_axis", "step_counts"]

_AXIS: ContextVar[str | None] = ContextVar("axis of scalars", default=None)


@contextmanager
def step_counts(axis: str) -> Iterator[None]:
    """Within it, the ``step`` of scalars counts `axis`, ``"iter"`` or ``"epoch"``.

    A visualizer of a library has ``add_scalars(scalar_dict, step, file_path)`` and need not know of axes.
    """
    token = _AXIS.set(axis)
    try:
        yield
    finally:
        _AXIS.reset(token)


def current_axis() -> dict[str, str]:
    """``{"axis": ...}`` within :func:`step_counts`; nothing outside of it."""
    axis = _AXIS.get()
    return {} if axis is None else {"axis": axis}
