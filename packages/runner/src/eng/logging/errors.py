"""Errors about wrong arguments. They also derive from AssertionError, which MMEngine raises and old code catches."""

from __future__ import annotations


class UsageError(ValueError, AssertionError):
    """An argument has an invalid value."""


class UsageTypeError(TypeError, AssertionError):
    """An argument has an invalid type."""


class UsageKeyError(KeyError, AssertionError):
    """A required name or key is missing."""

    # `KeyError.__str__` returns the repr of the message, in quotes; this method returns the message itself.
    __str__ = AssertionError.__str__
