"""Errors cross processes with their type, text and attributes."""

from __future__ import annotations

import copy
import pickle

import pytest

from eng.checkpoint import errors as checkpoint
from eng.dataset import errors as dataset
from eng.infer.errors import InputError
from eng.model import errors as model
from eng.runner import errors as runner

ERRORS = {
    "a.pth is not a whole checkpoint: cut short": checkpoint.BrokenCheckpointError("a.pth", "cut short"),
    "the checkpoint a.pth was not written: disk full": checkpoint.CheckpointWriteError("a.pth", "disk full"),
    "ann.json: no data_list": dataset.AnnotationError("ann.json", "no data_list", "data_list"),
    "sample 9 of list does not exist: it has 2 samples, 0 to 1": dataset.SampleIndexError([1, 2], 9, 2),
    "sample 1 of list does not exist: it has 1 sample, number 0": dataset.SampleIndexError([1], 1, 1),
    "sample 0 of list does not exist: it is empty": dataset.SampleIndexError([], 0, 0),
    "list: gave None": dataset.PipelineError([], "gave None", [3]),
    "datasets[1] and datasets[0] differ in metainfo['a']: 2 against 1; make them equal or pass ignore_keys=['a']": dataset.MetainfoMismatchError(
        "a", 1, 1, 2
    ),
    "list has no subsets of its own: take get_subset() of the dataset, then wrap that in list": dataset.UnsupportedSubsetError(
        []
    ),
    "the input 'a.png' cannot be used: it is empty": InputError("a.png", "it is empty"),
    "loss 'loss_cls' must be a differentiable tensor, or several in a list, got NoneType": model.LossTypeError(
        "loss_cls", None
    ),
    "an override names 'hed', which list has not; did you mean 'head'?; it says {}": model.OverrideTargetError(
        [], "hed", {}, ["head"]
    ),
    "train() needs model and optim_wrapper, which should not be None in the Runner": runner.MissingPartError(
        "train()", ["model", "optim_wrapper"]
    ),
    "a is given without b: they should be either all None or not None": runner.IncompleteSettingsError(["a"], ["b"]),
    "iteration 4 gave a non-finite loss": runner.NonFiniteLossError(3, ["loss"]),
    "stopped by SIGTERM at iteration 4; its state is in a.pth": runner.RunInterrupted(
        "SIGTERM", 143, "a.pth", "iteration 4"
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


def test_input_that_cannot_be_pickled_arrives_as_its_repr():
    error = InputError(lambda: None, "it is a function")
    arrived = pickle.loads(pickle.dumps(error))
    assert str(arrived) == str(error) == "the input a function cannot be used: it is a function"
    assert arrived.item == repr(error.item)


def test_exit_status_survives():
    assert pickle.loads(pickle.dumps(runner.RunInterrupted("SIGTERM", 143, None, "iteration 4"))).code == 143
