from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import torch.distributed as torch_dist

import eng.dist as dist


@pytest.mark.parametrize("timeout", [30, 2.5, timedelta(seconds=30)])
def test_a_group_of_one_starts_and_starts_again(one_process: Callable[..., None], timeout: object) -> None:
    for _ in range(2):
        one_process(dist.find_free_port())
        dist.init_dist("pytorch", backend="gloo", timeout=timeout)
        assert dist.get_dist_info() == (0, 1) and dist.is_distributed() and dist.get_local_size() >= 1
        dist.barrier()
        torch_dist.destroy_process_group()
        assert not dist.is_distributed()
