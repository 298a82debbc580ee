from __future__ import annotations

import pytest
import torch
from model_parts import Echo, Mean
from torch import nn

from eng.registry import MODELS


@pytest.mark.parametrize(
    "data",
    [{"x": [[1.0, 2.0], [3.0, 6.0]]}, ([[1.0, 2.0], [3.0, 6.0]],), [[[1.0, 2.0], [3.0, 6.0]]]],
    ids=["dict", "tuple", "list"],
)
def test_tta_merges_the_predictions_of_each_sample(data):
    assert Mean(Echo()).test_step(data) == [2.0, 4.0]


def test_tta_from_config_and_bad_modules():
    MODELS.register_module(name="EchoForTest", module=Echo, force=True)
    assert isinstance(Mean({"type": "EchoForTest"}).module, Echo)
    with pytest.raises(TypeError, match="Linear has no test_step"):
        Mean(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="module must be a config or a module, got int"):
        Mean(3)
    with pytest.raises(TypeError, match="takes a batch that is a dict, a tuple or a list, and not empty; got Tensor"):
        Mean(Echo()).test_step(torch.ones(1))
    with pytest.raises(NotImplementedError, match="Mean predicts through test_step"):
        Mean(Echo())(1)
