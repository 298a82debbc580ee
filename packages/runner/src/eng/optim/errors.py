"""Exceptions of optimizers, optimizer wrappers and schedulers."""

from __future__ import annotations


class OptimError(ValueError, AssertionError):
    """A setting of an optimizer, optimizer wrapper or scheduler has an invalid value.

    The class derives from AssertionError too, which MMEngine raises for most invalid settings, so that existing
    ``except`` clauses still work.
    """


class OptimTypeError(OptimError, TypeError):
    """A setting of an optimizer, optimizer wrapper or scheduler has the wrong type."""


class ScheduleError(OptimError):
    """A scheduler got an argument with which no schedule can be computed, such as an ``end`` before ``begin``.

    Attributes:
        argument: name of the invalid argument.
    """

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class MissingValueError(OptimError, KeyError):
    """A parameter group, a metric dict or a config lacks a value that an optimizer or a schedule needs."""

    # KeyError.__str__ would return the repr of the message, with quotes around the message, so ValueError's method is
    # used.
    __str__ = ValueError.__str__


class AmbiguousOptimizerError(OptimError, NotImplementedError):
    """A method was called on an :class:`OptimWrapperDict` that only one of its optimizer wrappers can carry out.

    Call the method on the wrapper that is meant, ``wrappers[name]``.
    """
