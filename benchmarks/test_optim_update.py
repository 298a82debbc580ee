"""What OptimWrapper adds to an update and a scheduler to a step, beside the bare loop and MMEngine 0.10.7."""

from __future__ import annotations

import time

import torch

from eng.optim import AmpOptimWrapper, CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper

# Interleaves the bare loop with the wrapper in one process; prints the median of the difference in microseconds.
MEASURE = """
import statistics, time, torch

def overhead_us(wrapper_type, repeats=4000, **settings):
    torch.manual_seed(0)
    weights = [torch.randn(4, requires_grad=True) for _ in range(2)]
    wrapper = wrapper_type(torch.optim.SGD([weights[0]], lr=1e-6), **settings)
    bare = torch.optim.SGD([weights[1]], lr=1e-6)
    bare_times, wrapped_times = [], []
    for _ in range(repeats):
        loss = weights[1].sum()
        start = time.perf_counter()
        loss.backward(); bare.step(); bare.zero_grad()
        bare_times.append(time.perf_counter() - start)
        loss = weights[0].sum()
        start = time.perf_counter()
        wrapper.update_params(loss)
        wrapped_times.append(time.perf_counter() - start)
    return (statistics.median(wrapped_times) - statistics.median(bare_times)) * 1e6

def step_us(scheduler, groups, repeats=2000):
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats // 5):
            scheduler.step()
        rounds.append((time.perf_counter() - start) / (repeats // 5) * 1e6 / groups)
    return min(rounds)

def make_groups(count):
    return [{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1} for _ in range(count)]
"""

REFERENCE_UPDATE = (
    MEASURE
    + """
from mmengine.optim import OptimWrapper
print(min(overhead_us(OptimWrapper) for _ in range(3)))
"""
)

REFERENCE_STEP = (
    MEASURE
    + """
import json
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper
found = {}
for count in (1, 100):
    def wrapper(): return OptimWrapper(torch.optim.SGD(make_groups(count), lr=0.1))
    found[f"cosine {count}"] = step_us(CosineAnnealingLR(wrapper(), T_max=10**6, by_epoch=False), count)
    found[f"linear {count}"] = step_us(LinearLR(wrapper(), by_epoch=False), count)
    found[f"milestones {count}"] = step_us(MultiStepLR(wrapper(), [10**6], by_epoch=False), count)
print(json.dumps(found))
"""
)


def tools():
    found = {"torch": torch, "time": time}
    exec(MEASURE, found)
    return found


def test_update_params_adds_little(versus, reference):
    overhead_us = tools()["overhead_us"]
    ours = min(overhead_us(OptimWrapper) for _ in range(3))
    theirs = reference(REFERENCE_UPDATE)
    versus.report(
        "update_params over backward+step+zero_grad", f"{ours:.2f} us", "<= 8 us", f"MMEngine {theirs:.2f} us"
    )


def test_variants_of_update_params(versus):
    overhead_us = tools()["overhead_us"]
    for name, settings in {
        "accumulating": {"accumulative_counts": 10**9},
        "clipping": {"clip_grad": {"max_norm": 1.0}},
        "skip_nonfinite": {"skip_nonfinite": True},
    }.items():
        versus.report(f"update_params, {name}", f"{overhead_us(OptimWrapper, 1000, **settings):.2f} us", "-", "")
    amp = overhead_us(lambda optimizer: AmpOptimWrapper(optimizer=optimizer), 1000)
    versus.report("update_params, amp on a CPU", f"{amp:.2f} us", "-", "")


def test_scheduler_step_per_group(versus, reference):
    found = tools()
    theirs = reference(REFERENCE_STEP)
    for count in (1, 100):

        def wrapper():
            return OptimWrapper(torch.optim.SGD(found["make_groups"](count), lr=0.1))

        for name, scheduler in {
            "cosine": CosineAnnealingLR(wrapper(), T_max=10**6, by_epoch=False),
            "linear": LinearLR(wrapper(), by_epoch=False),
            "milestones": MultiStepLR(wrapper(), [10**6], by_epoch=False),
        }.items():
            ours = found["step_us"](scheduler, count)
            key = f"{name} {count}"
            versus.report(
                f"scheduler.step, {name}, {count} groups, per group",
                f"{ours:.2f} us",
                "<= 3 us",
                f"MMEngine {theirs[key]:.2f} us",
            )
