"""Errors cross processes with their type, text and attributes."""

from __future__ import annotations

import copy
import pickle

import pytest

from eng.dist import errors

ERRORS = {
    "launcher 'slurm' needs the environment variables A, B, which are not set; use srun": errors.MissingVariablesError(
        "slurm", ["A", "B"], "use srun"
    ),
    "rank 1 failed, so this rank stops; its traceback was:\nKeyError: 3": errors.PeerFailedError(1, "KeyError: 3\n"),
    "an open file": errors.UnpicklableError([0, 2], "an open file"),
    "they disagree": errors.CollectiveMismatchError("they disagree", {0: "gather", 1: "broadcast"}, [1]),
    "too late": errors.CollectiveTimeoutError("too late", [3]),
    "port 29500 of node1 is in use, so rank 0 cannot listen on it (is another job running there?); set MASTER_PORT to another one, or leave it unset on a single node and a free one is taken": errors.PortInUseError(
        "node1", 29500
    ),
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
