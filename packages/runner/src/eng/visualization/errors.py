"""Errors of the visualizer. They also derive from the classes that MMEngine raises, so that old ``except`` clauses work."""

from __future__ import annotations

from eng.logging.errors import UsageError

__all__ = ["DuplicateBackendError", "NoImageError"]


class NoImageError(UsageError, AttributeError):
    """An image is drawn on or read before ``set_image`` was called; MMEngine raises an AttributeError."""


class DuplicateBackendError(ValueError, RuntimeError):
    """Two trackers have the same name; MMEngine raises a RuntimeError."""
