from __future__ import annotations

import pytest
import torch
from model_workers import batch, toy

from eng.model import MMFullyShardedDataParallel


def test_fsdp_needs_a_process_group():
    with pytest.raises(RuntimeError, match="needs a process group"):
        MMFullyShardedDataParallel(toy())


def test_fsdp_adds_gradients_up_inside_no_sync(group):
    model = MMFullyShardedDataParallel(toy())
    plain = toy()
    with model.no_sync():
        model(batch(0, 1)["x"]).sum().backward()
    model(batch(0, 1)["x"]).sum().backward()
    for _ in range(2):
        plain(batch(0, 1)["x"]).sum().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad.full_tensor(), theirs.grad, atol=1e-5)
