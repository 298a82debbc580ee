"""Arguments that a function cannot use. MMEngine asserts in these places; code written for it catches AssertionError."""

from __future__ import annotations


class UsageError(ValueError, AssertionError):
    """An argument has a value that cannot be used."""


class UsageTypeError(TypeError, AssertionError):
    """An argument has a type that cannot be used."""


class UsageKeyError(KeyError, AssertionError):
    """A name that is needed is missing."""

    # KeyError shows the repr of its argument, which turns a sentence into a quoted string.
    __str__ = AssertionError.__str__
