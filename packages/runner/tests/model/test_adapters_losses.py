from __future__ import annotations

import importlib
from collections import OrderedDict, namedtuple
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from eng.model.adapters import SupervisedModel, adapt, build_loss
from eng.registry import MODELS

ONE = torch.tensor(1.0, requires_grad=True)


LOGITS = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (SimpleNamespace(loss=ONE, logits=LOGITS), {"loss": ONE}),
        ({"loss_box": ONE, "loss_cls": ONE, "accuracy": LOGITS}, {"loss_box": ONE, "loss_cls": ONE}),
        (ONE, {"loss": ONE}),
        ((LOGITS, ONE), {"loss": ONE}),
    ],
    ids=["object", "mapping", "scalar", "tuple"],
)
def test_losses_that_the_network_returns(output, expected) -> None:
    class Fixed(nn.Module):
        def forward(self, x, y):
            return output

    assert adapt(Fixed())(batch=(1, 2), mode="loss") == expected


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss", "CTCLoss"])
def test_losses_of_torch_are_registered(name) -> None:
    assert MODELS.get(name) is getattr(nn, name)


Outputs = namedtuple("Outputs", "first second")
FIRST, SECOND, TARGET = torch.ones(2), torch.full((2,), 3.0), torch.zeros(2)


class Several(nn.Module):
    """Returns what it is told to."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


def of_both(output, target):
    first, second = output.values() if isinstance(output, dict) else output
    return (first - target).sum() + (second - target).sum()


@pytest.mark.parametrize(
    "output",
    [(FIRST, SECOND), {"a": FIRST, "b": SECOND}, OrderedDict(out=FIRST, aux=SECOND), Outputs(FIRST, SECOND)],
    ids=["tuple", "dict", "OrderedDict", "named tuple"],
)
def test_a_users_loss_gets_all_outputs_and_one_of_torch_the_first(output) -> None:
    batch = (torch.zeros(2), TARGET)
    assert SupervisedModel(Several(output), loss=of_both)(batch=batch, mode="loss")["loss"] == 2 + 6
    for loss in (nn.MSELoss(), functional.mse_loss, partial(functional.mse_loss, reduction="mean")):
        assert SupervisedModel(Several(output), loss=loss)(batch=batch, mode="loss")["loss"] == 1


def test_an_output_that_is_chosen_and_the_logits_of_an_object_go_to_any_loss() -> None:
    def mean(output, target):
        return (output - target).mean()

    batch = (torch.zeros(2), TARGET)
    assert SupervisedModel(Several((FIRST, SECOND)), loss=mean, output=1)(batch=batch, mode="loss")["loss"] == 3
    output = SimpleNamespace(logits=SECOND, hidden=FIRST)
    assert SupervisedModel(Several(output), loss=mean)(batch=batch, mode="loss")["loss"] == 3


@pytest.mark.parametrize(
    "loss",
    [lambda output: output.sum(), lambda output, margin=2.0: output.sum() * margin / 2, nn.Sequential(nn.Flatten(0))],
    ids=["function", "option", "module"],
)
def test_a_loss_of_the_output_alone_needs_no_target(loss) -> None:
    class Sum(nn.Module):
        def forward(self, left, right):
            return left + right

    losses = SupervisedModel(Sum(), loss=loss)(batch=(FIRST, SECOND), mode="loss")
    assert losses["loss"].sum() == 2 * (1 + 3)


class Smoothed(nn.CrossEntropyLoss):
    def __init__(self) -> None:
        super().__init__(label_smoothing=0.1)


def package_loss(tmp_path, monkeypatch):
    package = tmp_path / "site-packages/lossesforall.py"
    package.parent.mkdir()
    package.write_text("def mean_error(output, target):\n    return (output - target).mean()\n")
    monkeypatch.syspath_prepend(str(package.parent))
    return importlib.import_module("lossesforall").mean_error


def test_a_subclass_of_a_loss_of_torch_gets_the_logits() -> None:
    logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    model = SupervisedModel(Several({"features": torch.ones(1, 5), "logits": logits}), loss=Smoothed())
    expected = functional.cross_entropy(logits, target, label_smoothing=0.1)
    assert model(batch=(torch.zeros(1, 2), target), mode="loss")["loss"] == expected


def test_a_loss_of_an_installed_package_gets_the_first_output(tmp_path, monkeypatch) -> None:
    batch = (torch.zeros(2), TARGET)
    loss = package_loss(tmp_path, monkeypatch)
    assert SupervisedModel(Several((FIRST, SECOND)), loss=loss)(batch=batch, mode="loss")["loss"] == 1


@pytest.mark.parametrize(("name", "key"), [("CrossEntropyLoss", "weight"), ("BCEWithLogitsLoss", "pos_weight")])
def test_class_weights_of_a_config_may_be_a_list(name, key) -> None:
    scores, target = torch.tensor([[2.0, -1.0], [0.5, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = getattr(nn, name)(**{key: torch.tensor([1.0, 5.0])})(scores, target)
    built = build_loss({"type": name, key: [1.0, 5.0]})
    assert torch.equal(built(scores, target), expected)


def test_a_users_loss_keeps_a_list_as_it_is() -> None:
    class ListLoss(nn.Module):
        def __init__(self, weight) -> None:
            super().__init__()
            self.weight = weight

    assert build_loss({"type": ListLoss, "weight": [1.0, 5.0]}).weight == [1.0, 5.0]
