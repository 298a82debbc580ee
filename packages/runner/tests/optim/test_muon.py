from __future__ import annotations

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


@pytest.fixture
def muon():
    from eng.optim.optimizer.muon import Muon

    weight = torch.nn.Parameter(torch.eye(3))
    weight.grad = torch.arange(9.0).reshape(3, 3)
    return Muon([weight], lr=0.1)


@pytest.fixture
def plain():
    """An optimizer of torch's own class: torch wraps the `step` of a class when its first instance is made."""
    weight = torch.nn.Parameter(torch.eye(3))
    weight.grad = torch.arange(9.0).reshape(3, 3)
    return torch.optim.Muon([weight], lr=0.1)


def test_each_step_hook_fires_once_for_a_step(plain, muon):
    calls = []
    handles = [
        muon.register_step_pre_hook(lambda *_: calls.append("own, before")),
        muon.register_step_post_hook(lambda *_: calls.append("own, after")),
        register_optimizer_step_pre_hook(lambda *_: calls.append("all, before")),
        register_optimizer_step_post_hook(lambda *_: calls.append("all, after")),
    ]
    try:
        muon.step()
    finally:
        for handle in handles:
            handle.remove()
    assert calls == ["all, before", "own, before", "own, after", "all, after"]


def test_the_update_is_that_of_torch(plain, muon):
    assert muon.step(lambda: 2.5) == plain.step(lambda: 2.5) == 2.5
    assert torch.equal(muon.param_groups[0]["params"][0], plain.param_groups[0]["params"][0])


def test_matrices_in_shards_fire_each_hook_once(plain):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    from eng.optim.optimizer.muon import Muon

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        weights = [torch.nn.Parameter(distribute_tensor(torch.eye(3), mesh, [Shard(0)])) for _ in range(2)]
        for weight in weights:
            weight.grad = distribute_tensor(torch.arange(9.0).reshape(3, 3), mesh, [Shard(0)])
        optimizer, calls = Muon(weights, lr=0.1), []
        handle = register_optimizer_step_post_hook(lambda optimizer, *_: calls.append(optimizer))
        try:
            optimizer.step()
        finally:
            handle.remove()
        plain.step()
        assert calls == [optimizer]
        assert torch.equal(weights[1].full_tensor(), plain.param_groups[0]["params"][0])
    finally:
        torch.distributed.destroy_process_group()
