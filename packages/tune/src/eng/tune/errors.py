"""The exceptions of this package."""

from __future__ import annotations

__all__ = ["MissingMetricError", "SpaceError", "StorageError", "SweepError", "TuneError"]


class TuneError(ValueError):
    """A search for the learning rate, batch size or number of workers cannot run with the given arguments."""


class SweepError(ValueError):
    """A sweep cannot run with the given settings."""


class SpaceError(SweepError):
    """A sweep varies a key that the config does not have, or a key for which no values are given."""


class MissingMetricError(SweepError):
    """The validation of the config does not compute the metric that a sweep optimizes."""


class StorageError(SweepError):
    """The storage of a sweep cannot be read or written, for example because another process holds its lock."""
