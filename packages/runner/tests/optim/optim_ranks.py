"""Two ranks of gloo, started as a script by test_optim_ranks.py; prints what passed."""

from __future__ import annotations

import copy
import os
import sys

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from eng.optim import BFloat16OptimWrapper, OptimWrapper, build_optim_wrapper
from eng.optim.errors import OptimError


def mlp():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def mean_loss(model, inputs):
    return (model(inputs) - 1).pow(2).mean()


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


def expected(batches, clip_grad):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for batch in batches:
        mean_loss(model, batch).backward()
        if clip_grad:
            torch.nn.utils.clip_grad_norm_(model.parameters(), **clip_grad)
        optimizer.step()
        optimizer.zero_grad()
    return flat(model.parameters())


def weighted_accumulation(rank):
    """Uneven micro-batches on uneven ranks equal one big batch."""
    sizes = {0: [2, 5, 1], 1: [4, 1, 3]}
    torch.manual_seed(2)
    everything = torch.randn(2, sum(sizes[0] + sizes[1]), 6)
    first = sum(sizes[0])
    for clip_grad in (None, {"max_norm": 0.05}):
        model = DistributedDataParallel(mlp())
        wrapper = OptimWrapper(
            torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9), accumulative_counts=3, clip_grad=clip_grad
        )
        wrapper.initialize_count_status(model, 0, 6)
        for batch in everything:
            mine = batch[:first] if rank == 0 else batch[first:]
            for micro in mine.split(sizes[rank]):
                with wrapper.optim_context(model):
                    loss = mean_loss(model, micro)
                wrapper.update_params(loss, weight=torch.tensor(len(micro)))
        torch.testing.assert_close(flat(model.parameters()), expected(everything, clip_grad), rtol=0, atol=1e-6)


def sharded(rank):
    """FSDP2: clipping, accumulation, a restart inside a window and a skipped update."""
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(4 + rank)
    micros = torch.randn(4, 2, 6)

    def build():
        model = mlp()
        fully_shard(model)
        wrapper = OptimWrapper(
            torch.optim.Adam(model.parameters(), lr=0.1),
            accumulative_counts=2,
            clip_grad={"max_norm": 0.05},
            skip_nonfinite=True,
        )
        wrapper.initialize_count_status(model, 0, 4)
        return model, wrapper

    def run(model, wrapper, part):
        for micro in part:
            with wrapper.optim_context(model):
                loss = mean_loss(model, micro)
            wrapper.update_params(loss, weight=2.0)

    model, wrapper = build()
    run(model, wrapper, micros)
    whole = flat(p.full_tensor() for p in model.parameters())
    bare = mlp()
    optimizer = torch.optim.Adam(bare.parameters(), lr=0.1)
    both = [torch.empty_like(micros) for _ in range(2)]
    dist.all_gather(both, micros)
    for window in (0, 2):
        mean_loss(bare, torch.cat([b[window : window + 2].flatten(0, 1) for b in both])).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 0.05)
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(whole, flat(bare.parameters()), rtol=0, atol=1e-5)

    first, wrapper = build()
    run(first, wrapper, micros[:3])
    window = copy.deepcopy(wrapper.accumulation_state())
    weights = [p.to_local().detach().clone() for p in first.parameters()]
    second, resumed = build()
    with torch.no_grad():
        for parameter, weight in zip(second.parameters(), weights, strict=True):
            parameter.to_local().copy_(weight)
    resumed.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    resumed.load_accumulation_state(window)
    run(second, resumed, micros[3:])
    assert torch.equal(flat(p.full_tensor() for p in second.parameters()), whole)

    before = flat(p.full_tensor() for p in second.parameters())
    for _ in range(2):  # only one rank sees the bad loss; both must skip
        loss = mean_loss(second, micros[0])
        resumed.update_params(loss * float("nan") if rank == 1 else loss, weight=1.0)
    assert torch.equal(flat(p.full_tensor() for p in second.parameters()), before)
    assert int(resumed.skipped_count) == 1


def zero(rank):
    """ZeroRedundancyOptimizer by name trains like its local optimizer."""
    torch.manual_seed(7)
    batches = torch.randn(3, 4, 6)
    model = DistributedDataParallel(mlp())
    cfg = {"optimizer": {"type": "ZeroRedundancyOptimizer", "optimizer_type": "SGD", "lr": 0.5, "momentum": 0.9}}
    wrapper = build_optim_wrapper(model, cfg)
    for batch in batches:
        wrapper.update_params(mean_loss(model, batch))
    torch.testing.assert_close(flat(model.parameters()), expected(batches, None), rtol=0, atol=1e-6)
    state = wrapper.state_dict()
    assert ("state" in state) == (rank == 0)
    with pytest.raises(OptimError, match="takes no ZeroRedundancyOptimizer, which holds the weights a second time"):
        build_optim_wrapper(mlp().bfloat16(), {"type": "BFloat16OptimWrapper", **cfg})


def bfloat16(rank):
    """BFloat16OptimWrapper averages the gradients of all ranks in each step, behind a resume too."""
    torch.manual_seed(8)
    batches = torch.randn(6, 8, 6)

    def run(model, wrapper, batches):
        for batch in batches:
            with wrapper.optim_context(model):
                loss = mean_loss(model, batch)
            wrapper.update_params(loss)

    def start(update, wrap=lambda model: model):
        model = wrap(mlp().bfloat16())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return model, BFloat16OptimWrapper(optimizer=optimizer, update=update)

    for update in ("stochastic", "master"):
        model, wrapper = start(update, DistributedDataParallel)
        mine = batches[:, rank::2]
        run(model, wrapper, mine[:3])
        state, window = copy.deepcopy(wrapper.state_dict()), wrapper.accumulation_state()
        resumed, resumed_wrapper = start(update, DistributedDataParallel)
        resumed.load_state_dict(model.state_dict())
        resumed_wrapper.load_state_dict(state)
        resumed_wrapper.load_accumulation_state(window)
        run(model, wrapper, mine[3:])
        run(resumed, resumed_wrapper, mine[3:])
        weights = flat(model.parameters())
        assert weights.dtype is torch.bfloat16 and torch.equal(flat(resumed.parameters()), weights)
        gathered = [torch.empty_like(weights) for _ in range(2)]
        dist.all_gather(gathered, weights)
        assert torch.equal(*gathered)
        single, single_wrapper = start(update)
        before = flat(single.parameters()).float()
        run(single, single_wrapper, batches)
        distance = (flat(single.parameters()).float() - before).norm()
        assert (flat(single.parameters()).float() - weights.float()).norm() < 0.05 * distance


SCENARIOS = [weighted_accumulation, sharded, zero, bfloat16]

if __name__ == "__main__":
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    for scenario in SCENARIOS:
        scenario(rank)
        dist.barrier()
        print("passed", scenario.__name__, flush=True)
    dist.destroy_process_group()
