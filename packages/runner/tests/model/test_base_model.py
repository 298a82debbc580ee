from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from model_base_model_parts import Losses

SAMPLE = SimpleNamespace(x=1)


@pytest.mark.parametrize(
    ("data", "args", "kwargs"),
    [
        ({"x": 1}, (), {"x": 1}),
        ((1, 2), (1, 2), {}),
        ([1, 2], (1, 2), {}),
        (torch.tensor(3), (torch.tensor(3),), {}),
        (SAMPLE, (SAMPLE,), {}),
    ],
    ids=str,
)
def test_batches_become_keywords_or_positional_arguments(data, args, kwargs):
    for step in (Losses().val_step, Losses().test_step):
        assert step(data) == (args, kwargs, "predict")


@pytest.mark.parametrize("data", ["text", b"text", None], ids=str)
def test_a_batch_of_another_type_is_named(data):
    with pytest.raises(TypeError, match=f"a dict, a tuple or a list; .* came a {type(data).__name__}"):
        Losses().val_step(data)
