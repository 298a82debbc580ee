"""Prints the peak of a step of FSDP2 over the model's size, on one of two ranks whose exchange copies nothing.

    python fsdp_peak.py DEPTH WIDTH

torch's ``fake`` backend returns at once, so that the peak holds what FSDP2 and the optimizer hold, and no copies of gloo.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.testing._internal.distributed.fake_pg import FakeStore

from eng.runner.strategy.fsdp import FSDPStrategy


def peak_of(step: object) -> int:
    """Bytes at the highest point of a step above its beginning."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        step()  # type: ignore[operator]
    changes = [(e.start_ns(), e.nbytes()) for e in trace.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = highest = 0
    for _, change in sorted(changes):
        total += change
        highest = max(highest, total)
    return highest


def main() -> None:
    """Trains some steps and measures one."""
    depth, width = map(int, sys.argv[1:])
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    layers = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth)))
    model = FSDPStrategy(wrap_policy={"classes": ["Linear"]}).convert_model(layers)
    optimizer = torch.optim.AdamW(model.parameters())
    inputs = torch.randn(1, width)

    def step() -> None:
        model.module(inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(2):
        step()
    parameters = depth * width * width * 4
    kept = 3 * parameters / 2  # this rank's half of parameters and of AdamW's two moments
    print(f"peak {(kept + peak_of(step)) / parameters:.4f}")


if __name__ == "__main__":
    main()
