"""Errors cross processes with their type, text and attributes."""

from __future__ import annotations

import copy
import pickle
from io import StringIO

import pytest

from eng.fileio import errors, load

ERRORS = {
    "a.json:3:7: no comma; add one": errors.ParseError.at("a.json", 3, 7, "no comma", "add one"),
    "no such key": errors.MissingKeyError("no such key"),
    "404": errors.RemoteFileNotFoundError("404"),
    "cut": errors.TruncatedTransferError("cut"),
    "above the root": errors.UnsafeKeyError("above the root"),
    "read only": errors.UnsupportedOperationError("read only"),
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


@pytest.mark.parametrize(("suffix", "text"), [("json", "{"), ("yaml", "a: ["), ("toml", "a =")])
def test_parse_error_crosses_processes(suffix, text):
    with pytest.raises(errors.ParseError, match="<stream>") as caught:
        load(StringIO(text), file_format=suffix)
    error = caught.value
    assert facts(pickle.loads(pickle.dumps(error))) == facts(error)
    assert pickle.loads(pickle.dumps(type(error))) is type(error)
    assert str(type(error)("two\nlines")) == "two\nlines"
