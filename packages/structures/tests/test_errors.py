"""Errors cross processes with their type, text and attributes."""

from __future__ import annotations

import copy
import pickle

import pytest

from eng.structures.errors import FieldNameError, FieldTypeError, FieldValueError, LengthError, MissingFieldError

ERRORS = {
    "the length of values 3 is not consistent with the length of this :obj:`InstanceData` 2 (field 'b')": LengthError(
        "b", 3, 2, "InstanceData"
    ),
    "this InstanceData has no field 'boxs'; did you mean 'boxes'?": MissingFieldError(
        "boxs", "InstanceData", ["boxes"]
    ),
    "name": FieldNameError("name"),
    "type": FieldTypeError("type"),
    "value": FieldValueError("value"),
}


def facts(error):
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize("text", ERRORS)
def test_error_crosses_processes(text):
    error = ERRORS[text]
    assert str(error) == text
    assert facts(pickle.loads(pickle.dumps(error))) == facts(error)
    assert facts(copy.copy(error)) == facts(error)


@pytest.mark.parametrize(
    "cls", sorted({type(error) for error in ERRORS.values()}, key=str), ids=lambda cls: cls.__name__
)
def test_text_alone_makes_an_error(cls):
    """torch calls ``cls(text)`` in the parent of a loader worker."""
    assert str(cls("two\nlines")) == "two\nlines"
