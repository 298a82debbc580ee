from __future__ import annotations

import numpy as np
import torch

import eng.dist as dist


def test_collectives_of_a_single_process() -> None:
    data = torch.arange(3.0)
    dist.all_reduce(data, "mean")
    dist.broadcast(data)
    dist.all_reduce_params([data])
    logs = {"a": data}
    dist.all_reduce_dict(logs)
    assert data.tolist() == [0, 1, 2] and logs["a"] is data
    assert dist.all_gather(data)[0] is data and dist.gather(data)[0] is data
    assert dist.all_gather_object("x") == ["x"] and dist.gather_object("x") == ["x"]
    items = ["x", 1]
    dist.broadcast_object_list(items)
    assert items == ["x", 1]
    for device in ("cpu", "gpu"):
        assert dist.collect_results([1, 2, 3], 2, device) == [1, 2]
    np.random.seed(3)  # the generator that users seed
    first = dist.sync_random_seed()
    np.random.seed(3)  # the generator that users seed
    assert dist.sync_random_seed() == first
