"""A model that takes tensors and gets lists of samples: its error leads to default_collate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from eng.dataset import default_collate, pseudo_collate
from eng.logging.notes import message_with_notes
from eng.model import BaseModel

CALLS = {
    "layer": lambda x: nn.Linear(4, 2)(x),
    "convolution": lambda x: functional.conv1d(x, torch.ones(1, 1, 1)),
    "method": lambda x: x.float(),
    "shape": lambda x: x.shape,
    "division": lambda x: x / 255,
    "slice": lambda x: x[:, 0],
    "cat": lambda x: torch.cat([x, torch.ones(1, 4)]),
    "product": lambda x: x * torch.ones(4),
    "factor": lambda x: x * 0.5,
    "sum": lambda x: x + 0.5,
    "difference": lambda x: torch.ones(4) - x,
    "conversion": lambda x: torch.as_tensor(x),
    "matmul": lambda x: torch.ones(4, 4) @ x,
}


class Called(BaseModel):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x, y=None, mode="tensor"):
        return self.call(x)


def failure(batch, call, step: str = "val_step") -> str:
    with pytest.raises((TypeError, ValueError, AttributeError), match=r".") as info:
        getattr(Called(call), step)(batch)
    return message_with_notes(info.value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_whatever_fails_on_a_list_of_samples_leads_to_default_collate(call) -> None:
    as_mapping = pseudo_collate([{"x": torch.ones(4), "y": 1}] * 3)
    message = failure(as_mapping, call)
    assert "a list of samples under 'x' (3 tensors), 'y' (3 numbers)" in message
    assert "collate_fn=dict(type='default_collate')" in message
    as_sequence = pseudo_collate([(torch.ones(4), 1)] * 3)
    assert "under 0 (3 tensors), 1 (3 numbers)" in failure(as_sequence, call)
    Called(lambda x: x.shape).val_step(default_collate([{"x": torch.ones(4), "y": 1}] * 3))  # as the message says


def test_the_advice_is_another_where_the_samples_differ_in_shape() -> None:
    batch = pseudo_collate([{"x": torch.ones(4)}, {"x": torch.ones(5)}])
    message = failure(batch, CALLS["layer"])
    assert "The samples of 'x' differ in shape ((4,) and (5,))" in message
    assert "default_collate" not in message


@pytest.mark.parametrize(
    "batch",
    [
        {"x": torch.ones(3, 4), "y": [1, 2, 3]},
        {"x": [[torch.ones(4)]] * 3},
        {"x": ["a", "b"]},
        {"x": []},
    ],
    ids=["stacked", "nested", "text", "empty"],
)
def test_other_lists_are_no_matter_of_collating(batch) -> None:
    def call(x):
        raise TypeError("no list here")

    assert failure(batch, call) == "no list here"


def test_arrays_and_scalars_are_counted() -> None:
    assert "'x' (2 arrays)" in failure(pseudo_collate([{"x": np.ones(4)}] * 2), CALLS["layer"])
    assert "'x' (1 number)" in failure(pseudo_collate([{"x": 0.5}]), CALLS["layer"])


def test_an_error_of_something_else_stays_as_it_is() -> None:
    def call(x):
        raise TypeError("no room for 5")

    assert failure(pseudo_collate([{"x": torch.ones(4)}]), call) == "no room for 5"
