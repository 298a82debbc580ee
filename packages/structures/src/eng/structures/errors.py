"""What is wrong with a data element, with the facts as attributes.

Each class derives from the built-in one that fits. Where the reference asserts, it derives from AssertionError as well,
so that code written for the reference still catches it.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["FieldNameError", "FieldTypeError", "FieldValueError", "LengthError", "MissingFieldError", "StructureError"]


class StructureError(Exception):
    """Base of every error of `eng.structures`."""


class FieldNameError(StructureError, AttributeError):
    """A name that cannot be a field: taken by the other kind of field, by a method, or reserved."""


class MissingFieldError(StructureError, AttributeError, KeyError):
    """No field has this name.

    Attributes:
        field: the name.
    """

    def __init__(self, field: str, owner: str | None = None, known: Iterable[str] = ()) -> None:
        self.field = field
        super().__init__(field if owner is None else _no_field(field, owner, list(known)))

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError shows the repr of its argument


def _no_field(field: str, owner: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(field, names, 1)
    if nearest:
        hint = f"; did you mean {nearest[0]!r}?"
    else:
        hint = f"; it has {', '.join(names) or 'no field'}"
    return f"this {owner} has no field {field!r}{hint}"


class FieldTypeError(StructureError, TypeError, AssertionError):
    """A field, or an argument, is of a type it cannot have."""


class FieldValueError(StructureError, ValueError, AssertionError):
    """A field's shape or an argument's value does not fit."""


class LengthError(FieldValueError):
    """A field is longer or shorter than the others.

    Attributes:
        length: of the new value.
        expected: of the fields that are there.
    """

    def __init__(self, name: str, length: int | None = None, expected: int | None = None, owner: str = "") -> None:
        self.length, self.expected = length, expected
        super().__init__(
            name
            if length is None
            else f"the length of values {length} is not consistent with the length of this :obj:`{owner}` {expected} "
            f"(field {name!r})"
        )
