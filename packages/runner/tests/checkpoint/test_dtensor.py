"""Sharded tensors and all other values, on a mesh of one rank."""

from __future__ import annotations

import sys

import pytest
import torch

from eng.checkpoint.dtensor import full_tensor, is_dtensor, local_part


@pytest.fixture
def sharded():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield distribute_tensor(torch.arange(4.0), init_device_mesh("cpu", (1,)), [Shard(0)])
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("part_of", [local_part, full_tensor])
def test_a_sharded_tensor_becomes_a_plain_one(sharded, part_of) -> None:
    assert is_dtensor(sharded)
    assert type(part_of(sharded)) is torch.Tensor
    assert part_of(sharded).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("part_of", [local_part, full_tensor])
@pytest.mark.parametrize("value", [torch.ones(2), torch.nn.Parameter(torch.ones(2)), None, 3], ids=repr)
def test_any_other_value_stays_as_it_is(monkeypatch, part_of, value) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed.tensor", raising=False)
    assert part_of(value) is value
    assert not is_dtensor(value)
    assert "torch.distributed.tensor" not in sys.modules
