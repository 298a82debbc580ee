from __future__ import annotations

import pytest
import torch
from model_workers import Wrapper, batch, toy


@pytest.fixture(scope="module")
def single():
    """The same two steps on one process with the whole batch."""
    model = toy()
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        model.train_step(batch(0, 1), wrapper)
    return model
