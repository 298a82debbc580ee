from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from eng.model.adapters import adapt
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
