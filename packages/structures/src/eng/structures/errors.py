"""What is wrong with a data element, with the facts as attributes.

Each class derives from the built-in one that fits. Where the reference asserts, it derives from AssertionError as well,
so that code written for the reference still catches it.
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

    def __init__(self, field: str, owner: str, known: Iterable[str]) -> None:
        self.field, names = field, list(known)
        near = difflib.get_close_matches(field, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names) or 'no field'}"
        self.message = f"this {owner} has no field {field!r}{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


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

    def __init__(self, name: str, length: int, expected: int, owner: str) -> None:
        self.length, self.expected = length, expected
        super().__init__(
            f"field {name!r}: the length of values {length} is not consistent with the length of this :obj:`{owner}` {expected}"
        )
