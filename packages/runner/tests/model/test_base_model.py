from __future__ import annotations

import pytest
import torch
from model_base_model_parts import Losses


@pytest.mark.parametrize(
    ("data", "args", "kwargs"), [({"x": 1}, (), {"x": 1}), ((1, 2), (1, 2), {}), ([1, 2], (1, 2), {})], ids=str
)
def test_batches_become_keywords_or_positional_arguments(data, args, kwargs):
    for step in (Losses().val_step, Losses().test_step):
        assert step(data) == (args, kwargs, "predict")


def test_a_batch_of_another_type_is_named():
    with pytest.raises(
        TypeError, match="Losses can be called with a batch that is a dict, a tuple or a list; .* came a Tensor"
    ):
        Losses().val_step(torch.ones(1))
