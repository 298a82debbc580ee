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
    """Declares the unit of the argument ``step`` of scalars that a visualizer writes inside the ``with`` block.

    Args:
        axis: ``"iter"`` if ``step`` counts iterations, ``"epoch"`` if it counts epochs.
    """
    token = _AXIS.set(axis)
    try:
        yield
    finally:
        _AXIS.reset(token)


def current_axis() -> dict[str, str]:
    """Returns the unit of steps as a keyword argument for trackers.

    Inside a ``with`` block of :func:`step_counts` this is ``{"axis": "iter"}`` or ``{"axis": "epoch"}``, elsewhere an
    empty dict.
    """
    axis = _AXIS.get()
    if axis is None:
        return {}
    return {"axis": axis}
