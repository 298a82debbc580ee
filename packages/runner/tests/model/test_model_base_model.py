from __future__ import annotations

import pytest
import torch
from model_base_model_parts import Losses
from model_parts import Echo, Mean
from torch import nn

from eng.checkpoint import load_state_dict
from eng.model import LossTypeError, NoLossError


@pytest.mark.parametrize(
    ("value", "got"), [(1.0, "float"), ("x", "str"), ([1.0], "list of float"), (None, "NoneType")], ids=str
)
def test_a_loss_of_another_type_is_named(value, got):
    with pytest.raises(
        LossTypeError, match=f"loss 'loss_x' must be a differentiable tensor, or several in a list, got {got}"
    ):
        Losses().parse_losses({"loss_x": value})


def test_losses_must_be_there():
    with pytest.raises(NoLossError, match="'acc'"):
        Losses().parse_losses({"acc": torch.tensor(1.0)})
    with pytest.raises(TypeError, match=r"must return a dict of losses such as \{'loss': tensor\}, got Tensor"):
        Losses().parse_losses(torch.tensor(1.0))


def test_tta_loads_a_checkpoint_of_the_model_that_it_wraps():
    class Net(Echo):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

    trained, model = Net(), Mean(Net())
    report = load_state_dict(model, trained.state_dict(), strict=True)
    assert report.fits and torch.equal(model.module.layer.weight, trained.layer.weight)
