"""Inputs and targets are taken from batches of any form, by name, by place or as given."""

from __future__ import annotations

import logging
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from eng.model.adapters.batches import BatchReader, stacked
from eng.model.errors import BatchTypeError


class OneInput(nn.Module):
    def forward(self, x):
        return x


class TwoInputs(nn.Module):
    def forward(self, left, right):
        return left + right


class WithOption(nn.Module):
    def forward(self, x, return_features=False):
        return x


class WithTargets(nn.Module):
    def forward(self, idx, targets=None):
        return idx, targets


class WithLabels(nn.Module):
    def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        return input_ids


class Anything(nn.Module):
    def forward(self, **kwargs):
        return kwargs


T = torch.ones(2)
# network, batch, whether there is a loss; positional arguments, keywords and target as keys of the batch
INFERRED = [
    pytest.param(OneInput, ("a", "b"), True, [0], {}, 1, id="pair"),
    pytest.param(OneInput, ["a"], True, [0], {}, None, id="no target"),
    pytest.param(TwoInputs, ("a", "b", "c"), True, [0, 1], {}, 2, id="triple"),
    pytest.param(TwoInputs, ("a", "b"), False, [0, 1], {}, 1, id="the model computes its loss"),
    pytest.param(WithOption, ("a", "b"), False, [0], {}, 1, id="an option is no target"),
    pytest.param(WithTargets, ("a", "b"), False, [0, 1], {}, 1, id="optional targets"),
    pytest.param(OneInput, {"x": T, "label": T}, True, [], {"x": "x"}, "label", id="argument's name"),
    pytest.param(OneInput, {"scan": T, "target": T}, True, ["scan"], {}, "target", id="only tensor"),
    pytest.param(OneInput, {"image": T, "weight": T, "y": T}, True, ["image"], {}, "y", id="usual name"),
    pytest.param(
        TwoInputs, {"right": T, "left": T, "labels": T, "id": "n"}, True, [], {"left": "left", "right": "right"}, "labels",
        id="two names",
    ),
    pytest.param(
        WithLabels, {"input_ids": T, "label": T}, False, [], {"input_ids": "input_ids", "labels": "label"}, "label",
        id="label for labels",
    ),
    pytest.param(
        WithLabels, {"input_ids": T, "labels": T, "idx": T}, True, [], {"input_ids": "input_ids"}, "labels",
        id="loss given: labels are no input",
    ),
    pytest.param(Anything, {"p": T, "q": T}, False, [], {"p": "p", "q": "q"}, None, id="keywords"),
]  # fmt: skip


@pytest.mark.parametrize(("network", "batch", "has_loss", "positional", "keywords", "target"), INFERRED)
def test_inferred(network, batch, has_loss, positional, keywords, target, caplog) -> None:
    reader = BatchReader(network(), None, None, has_loss=has_loss)
    with caplog.at_level(logging.INFO, logger="eng"):
        got = reader.read(batch)
        reader.read(batch)
    assert got[0] == [batch[key] for key in positional]
    assert got[1] == {name: batch[key] for name, key in keywords.items()}
    assert got[2] is (None if target is None else batch[target])
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{network.__name__} is called with inputs ")


@pytest.mark.parametrize(
    ("inputs", "targets", "expected"),
    [
        ("b", "a", (["B"], {}, "A")),
        (["c", "a"], "b", (["C", "A"], {}, "B")),
        ({"left": "b", "right": "c"}, "a", ([], {"left": "B", "right": "C"}, "A")),
        (["a", "b"], None, (["A", "B"], {}, None)),
    ],
    ids=["key", "keys in order", "by argument", "no target"],
)
def test_given(inputs, targets, expected) -> None:
    reader = BatchReader(TwoInputs(), inputs, targets, has_loss=True)
    assert reader.read({"a": "A", "b": "B", "c": "C"}) == expected


def test_a_tensor_is_its_one_part() -> None:
    batch = torch.arange(3.0)
    positional, keywords, target = BatchReader(OneInput(), 0, 0, has_loss=True).read(batch)
    assert positional == [batch]
    assert keywords == {}
    assert target is batch


@pytest.mark.parametrize(
    ("network", "batch", "inputs", "message"),
    [
        (
            TwoInputs,
            {"p": T, "q": T, "y": T},
            None,
            r"inputs of TwoInputs.forward\(left, right\)\?.*'p', 'q', 'y'.*inputs=",
        ),
        (OneInput, {"p": T, "q": T, "y": T}, None, r"OneInput.forward\(x\)\?.*'p', 'q', 'y'"),
        (OneInput, ("a", "b", "c"), None, r"OneInput.forward\(x\) does not take 2 inputs; the batch has 3 parts"),
        (OneInput, {"p": T}, "x", r"inputs='x' of OneInput: 'x' is missing; the batch has the keys 'p'"),
    ],
    ids=["two unknown", "several tensors", "too many", "unknown key"],
)
def test_what_cannot_be_told_is_asked_for(network, batch, inputs, message) -> None:
    with pytest.raises(BatchTypeError, match=message):
        BatchReader(network(), inputs, None, has_loss=True).read(batch)


def test_stacked_makes_tensors_of_equal_samples_only() -> None:
    ragged = [torch.ones(2), torch.ones(3)]
    pair = (torch.zeros(2), torch.ones(2))  # two arguments of equal shape
    assert all(ours is theirs for ours, theirs in zip(stacked(pair), pair, strict=True))
    batch = stacked([[torch.zeros(2), torch.ones(2)], (1, 2), ["a", "b"], ragged, {"boxes": (0.5, 1.5)}])
    assert torch.equal(batch[0], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert torch.equal(batch[1], torch.tensor([1, 2]))
    assert batch[2] == ["a", "b"]
    assert [len(item) for item in batch[3]] == [2, 3]
    assert torch.equal(batch[4]["boxes"], torch.tensor([0.5, 1.5]))


class OfBatch(nn.Module):
    def forward(self, batch):
        return batch


@dataclass
class Scan:
    label: str
    x: str


Pair = namedtuple("Pair", "label x")
Unnamed = namedtuple("Unnamed", "a b")


@pytest.mark.parametrize(
    ("batch", "given", "expected"),
    [
        (Scan("Y", "X"), {}, ([], {"x": "X"}, "Y")),
        (Pair("Y", "X"), {}, ([], {"x": "X"}, "Y")),
        (Pair("Y", "X"), {"inputs": [0], "targets": 1}, (["Y"], {}, "X")),
        (Unnamed("X", "Y"), {}, (["X"], {}, "Y")),
    ],
    ids=["dataclass", "named tuple", "places of a named tuple", "other names"],
)
def test_fields_are_read_by_name(batch, given, expected) -> None:
    reader = BatchReader(OneInput(), given.get("inputs"), given.get("targets"), has_loss=True)
    assert reader.read(stacked(batch)) == expected


@pytest.mark.parametrize(
    ("batch", "has_loss", "target"),
    [({"image": T, "label": "Y"}, True, "Y"), (("X", "Y"), False, "Y")],
    ids=["mapping", "a pair of which the network computes its loss"],
)
def test_a_network_of_a_batch_gets_the_batch(batch, has_loss, target) -> None:
    assert BatchReader(OfBatch(), None, None, has_loss=has_loss).read(batch) == ([batch], {}, target)


def test_a_part_called_batch_is_one_input() -> None:
    assert BatchReader(OfBatch(), None, None, has_loss=True).read({"batch": "X", "y": "Y"}) == ([], {"batch": "X"}, "Y")
