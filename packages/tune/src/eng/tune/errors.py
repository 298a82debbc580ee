"""What goes wrong in a sweep or a search for settings."""

from __future__ import annotations

__all__ = ["MissingMetricError", "SpaceError", "StorageError", "SweepError", "TuneError"]


class TuneError(ValueError):
    """A search for a setting cannot work as it was asked for."""


class SweepError(ValueError):
    """A sweep cannot work as it was asked for."""


class SpaceError(SweepError):
    """An axis of a sweep names no key of the config, or holds no value."""


class MissingMetricError(SweepError):
    """No validation gives the metric that a sweep optimizes."""


class StorageError(SweepError):
    """The storage of a sweep cannot be read or written, as when another process holds its lock."""
