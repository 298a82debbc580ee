"""Errors about wrong arguments. They also derive from AssertionError, which MMEngine raises and old code catches."""

from __future__ import annotations


class UsageError(ValueError, AssertionError):
    """An argument has an invalid value."""


class UsageTypeError(TypeError, AssertionError):
    """An argument has an invalid type."""


class UsageKeyError(KeyError, AssertionError):
    """A required name or key is missing."""

    # KeyError prints the repr of its argument, which would put the message into quotes.
    __str__ = AssertionError.__str__
