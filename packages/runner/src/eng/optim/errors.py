"""What can go wrong with optimizers, their wrappers and schedulers, by kind of mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def near(name: object, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or what there is.

    Examples:
        >>> near("max_nrom", ["max_norm", "norm_type"])
        "; did you mean 'max_norm'?"
        >>> near("zzz", ["b", "a"])
        '; there are: a, b'
    """
    names = sorted(known)
    found = difflib.get_close_matches(str(name), names, n=2, cutoff=0.6)
    if found:
        return f"; did you mean {' or '.join(map(repr, found))}?"
    return f"; there are: {', '.join(names)}" if names else ""
