"""What can go wrong with optimizers, their wrappers and schedulers, by kind of mistake."""

from __future__ import annotations


class OptimError(ValueError, AssertionError):
    """A setting of an optimizer, wrapper or scheduler that cannot work; MMEngine asserts in most of these places."""


class OptimTypeError(OptimError, TypeError):
    """A setting of another type than what is expected."""


class ScheduleError(OptimError):
    """A schedule that cannot be followed.

    Attributes:
        argument: name of the argument that is wrong.
    """

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class MissingValueError(OptimError, KeyError):
    """A parameter group or a metric dict lacks a value that a schedule needs."""

    # KeyError shows the repr of its argument, which turns a sentence into a quoted string.
    __str__ = ValueError.__str__


class AmbiguousOptimizerError(OptimError, NotImplementedError):
    """One optimizer was asked of several: name the one that is meant."""
