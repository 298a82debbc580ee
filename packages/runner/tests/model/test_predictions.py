from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from eng.model import Predictions, SupervisedModel

Returned = namedtuple("Returned", "logits aux")


ONE = torch.tensor(1.0, requires_grad=True)


LOGITS = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("output", "key"),
    [
        (LOGITS, None),
        (SimpleNamespace(logits=LOGITS, hidden=ONE), None),
        ({"aux": ONE, "out": LOGITS}, None),
        (Returned(LOGITS, ONE), None),
        ((ONE, LOGITS), None),
        ({"a": ONE, "b": LOGITS}, "b"),
        ((ONE, LOGITS), 1),
    ],
    ids=["tensor", "object", "mapping", "named tuple", "tuple", "given key", "given place"],
)
def test_predictions_among_several_outputs(output, key) -> None:
    class Fixed(nn.Module):
        def forward(self, x):
            return output

    model = SupervisedModel(Fixed(), loss=lambda outputs, target: target, output=key)
    predictions, losses = model.val_step((torch.ones(2), torch.tensor([4.0, 4.0])))
    assert isinstance(predictions, Predictions)
    assert predictions.batch["preds"] is LOGITS
    assert losses["loss"].tolist() == [4.0, 4.0]
    assert [sample["target"].item() for sample in predictions] == [4.0, 4.0]
