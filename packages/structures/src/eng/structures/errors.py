"""The exceptions of this package; their data are attributes.

Each class derives from a matching builtin exception. If MMEngine raises AssertionError in this case, the class derives
from it as well, so that existing code still catches the exception. Every exception can be created from its message
alone, as pickle, copy and torch's dataloader workers do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["FieldNameError", "FieldTypeError", "FieldValueError", "LengthError", "MissingFieldError", "StructureError"]


class StructureError(Exception):
    """Base class of all exceptions of `eng.structures`."""


class FieldNameError(StructureError, AttributeError):
    """A name cannot be used for a field.

    The name is reserved, or a data field should get the name of meta information, or the other way round.
    """


class MissingFieldError(StructureError, AttributeError, KeyError):
    """A data element has no field with this name.

    Attributes:
        field: name of the missing field.
    """

    def __init__(self, field: str, owner: str | None = None, known: Iterable[str] = ()) -> None:
        self.field = field
        super().__init__(field if owner is None else _no_field(field, owner, list(known)))

    def __str__(self) -> str:
        return str(self.args[0])  # `KeyError.__str__` would put the message in quotes.


def _no_field(field: str, owner: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(field, names, 1)
    if nearest:
        hint = f"; did you mean {nearest[0]!r}?"
    else:
        hint = f"; it has {', '.join(names) or 'no field'}"
    return f"this {owner} has no field {field!r}{hint}"


class FieldTypeError(StructureError, TypeError, AssertionError):
    """A field or an argument has the wrong type."""


class FieldValueError(StructureError, ValueError, AssertionError):
    """A field has the wrong shape, or an argument has an invalid value."""


class LengthError(FieldValueError):
    """A field of an `InstanceData` has another length than the existing fields.

    Attributes:
        length: length of the new value.
        expected: length of the existing fields.
    """

    def __init__(self, name: str, length: int | None = None, expected: int | None = None, owner: str = "") -> None:
        self.length, self.expected = length, expected
        super().__init__(
            name
            if length is None
            else f"the length of values {length} is not consistent with the length of this :obj:`{owner}` {expected} "
            f"(field {name!r})"
        )
