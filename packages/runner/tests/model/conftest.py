from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from model_workers import Wrapper, batch, toy


@pytest.fixture(scope="module")
def single():
    """The same two steps on one process with the whole batch."""
    model = toy()
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        model.train_step(batch(0, 1), wrapper)
    return model


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/init", rank=0, world_size=1)
    yield
    dist.destroy_process_group()
