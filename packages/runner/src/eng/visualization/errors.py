"""Errors of the visualizer. They also derive from the classes that MMEngine raises, so that old ``except`` clauses work."""

from __future__ import annotations

from eng.logging.errors import UsageError

__all__ = ["DuplicateBackendError", "NoImageError"]


class NoImageError(UsageError, AttributeError):
    """An image is drawn on or read before ``set_image`` was called.

    The error is an AttributeError too, because MMEngine raises an AttributeError in this case.
    """


class DuplicateBackendError(ValueError, RuntimeError):
    """Two experiment trackers of a visualizer have the same name.

    The error is a RuntimeError too, because MMEngine raises a RuntimeError in this case.
    """
