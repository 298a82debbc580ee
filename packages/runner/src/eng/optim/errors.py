"""Exceptions of optimizers, optimizer wrappers and schedulers."""

from __future__ import annotations


class OptimError(ValueError, AssertionError):
    """A setting of an optimizer, optimizer wrapper or scheduler cannot work.

    The class derives from AssertionError too, because MMEngine raises AssertionError for most of these mistakes.
    """


class OptimTypeError(OptimError, TypeError):
    """A setting of an optimizer, optimizer wrapper or scheduler has the wrong type."""


class ScheduleError(OptimError):
    """A scheduler got arguments that describe no schedule.

    Attributes:
        argument: name of the argument that is wrong.
    """

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class MissingValueError(OptimError, KeyError):
    """A parameter group or a metric dict lacks a value that a schedule needs."""

    # KeyError.__str__ returns the repr of the message, which would put the message between quotes.
    __str__ = ValueError.__str__


class AmbiguousOptimizerError(OptimError, NotImplementedError):
    """A method of :class:`OptimWrapperDict` needs one optimizer wrapper; call it on the wrapper, ``wrappers[name]``."""
