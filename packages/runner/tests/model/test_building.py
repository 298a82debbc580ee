from __future__ import annotations

import pytest
import torch
from adapters_parts import Net
from torch import nn

from eng.model import NoLossError
from eng.model.adapters import adapt, build_model


@pytest.mark.parametrize("batch", [dict(x=torch.ones(2, 2), labels=torch.zeros(2)), (torch.ones(2, 2), torch.zeros(2))])
def test_a_model_without_a_loss(batch) -> None:
    with pytest.raises(
        NoLossError, match=r"Net returned a tensor of shape \(2, 3\), which holds no loss.*loss=dict\(type="
    ):
        adapt(Net())(batch=batch, mode="loss")


def test_config_options_go_to_the_adapter_unless_the_class_takes_them() -> None:
    class Own(nn.Module):
        def __init__(self, loss):
            super().__init__()
            self.loss = loss

        def forward(self, x):
            return x

    model = build_model(dict(type=Net, hidden=5, loss="CrossEntropyLoss", inputs=["img"], targets="cls", output=0))
    assert (model.network.body.out_features, model.reader.inputs, model.reader.targets, model.output) == (
        5,
        ["img"],
        "cls",
        0,
    )
    assert isinstance(model.loss_function, nn.CrossEntropyLoss)
    assert build_model(dict(type=Own, loss="mine")).network.loss == "mine"
