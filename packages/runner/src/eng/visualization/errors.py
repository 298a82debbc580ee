"""What a visualizer cannot do; MMEngine raises other classes in these cases, which code written for it catches."""

from __future__ import annotations

from eng.logging.errors import UsageError

__all__ = ["DuplicateBackendError", "NoImageError"]


class NoImageError(UsageError, AttributeError):
    """Something is drawn or read, and no image was set; an AttributeError in MMEngine."""


class DuplicateBackendError(ValueError, RuntimeError):
    """Two trackers have one name; a RuntimeError in MMEngine."""
