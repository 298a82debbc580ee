"""Writes curves.json beside this file: what MMEngine 0.10.7 does. Run it where mmengine==0.10.7 is installed."""

import json
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

CASES = {
    "constant": [{"type": "ConstantLR", "factor": 0.25, "end": 5}],
    "constant, later": [{"type": "ConstantLR", "begin": 3, "end": 8}],
    "cosine": [{"type": "CosineAnnealingLR", "T_max": 10, "eta_min": 0.01}],
    "cosine, period of the span": [{"type": "CosineAnnealingLR", "begin": 2, "end": 14}],
    "cosine, ratio of the base": [{"type": "CosineAnnealingLR", "T_max": 8, "eta_min_ratio": 0.1}],
    "cosine, several periods": [{"type": "CosineAnnealingLR", "T_max": 5}],
    "cosine restart": [{"type": "CosineRestartLR", "periods": [4, 6, 8], "restart_weights": [1, 0.5, 0.25], "eta_min": 0.001}],
    "cosine restart, ratio": [{"type": "CosineRestartLR", "periods": [5, 5], "restart_weights": [1, 0.8], "eta_min_ratio": 0.05}],
    "exponential": [{"type": "ExponentialLR", "gamma": 0.9}],
    "linear": [{"type": "LinearLR", "start_factor": 0.1, "end": 8}],
    "linear, down": [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.2, "begin": 4, "end": 12}],
    "milestones": [{"type": "MultiStepLR", "milestones": [3, 7, 7, 11], "gamma": 0.5}],
    "one cycle": [{"type": "OneCycleLR", "eta_max": 0.4, "total_steps": 20}],
    "one cycle, linear": [{"type": "OneCycleLR", "eta_max": 0.4, "total_steps": 20, "anneal_strategy": "linear", "pct_start": 0.25}],
    "one cycle, three phases": [{"type": "OneCycleLR", "eta_max": 0.4, "total_steps": 20, "three_phase": True}],
    "poly": [{"type": "PolyLR", "power": 0.9, "eta_min": 1e-4, "end": 15}],
    "poly, later": [{"type": "PolyLR", "power": 2.0, "begin": 5, "end": 18}],
    "step": [{"type": "StepLR", "step_size": 4, "gamma": 0.3}],
    "warm-up and milestones": [
        {"type": "LinearLR", "start_factor": 0.001, "end": 5},
        {"type": "MultiStepLR", "milestones": [8, 11], "gamma": 0.1},
    ],
    "warm-up, then cosine": [
        {"type": "LinearLR", "start_factor": 0.001, "end": 6},
        {"type": "CosineAnnealingLR", "T_max": 12, "begin": 6, "end": 18},
    ],
    "overlapping": [
        {"type": "ExponentialLR", "gamma": 0.95},
        {"type": "ConstantLR", "factor": 0.5, "begin": 2, "end": 9},
        {"type": "StepLR", "step_size": 3, "begin": 4, "end": 15},
    ],
    "gap": [{"type": "LinearLR", "start_factor": 0.5, "end": 4}, {"type": "PolyLR", "begin": 10, "end": 19}],
    "momentum": [{"type": "LinearMomentum", "start_factor": 0.5, "end": 8}, {"type": "CosineAnnealingMomentum", "begin": 8, "T_max": 10}],
    "weight decay": [{"type": "PolyParamScheduler", "param_name": "weight_decay", "end": 12}],
}  # fmt: skip
STEPS = 20
WATCHED = {"lr": [0.1, 0.02], "momentum": [0.9, 0.8], "weight_decay": [1e-4, 5e-4]}


def follow(configs, optimizer, build):
    """The watched values before each of STEPS steps."""
    schedulers = [build(config, optimizer) for config in configs]
    seen = []
    for _ in range(STEPS):
        seen.append({name: [group[name] for group in optimizer.param_groups] for name in WATCHED})
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return seen


def make_optimizer(torch):
    groups = [
        {"params": [torch.zeros(1, requires_grad=True)], **{name: values[index] for name, values in WATCHED.items()}}
        for index in range(2)
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def main():
    import mmengine.optim  # noqa: F401  # registers the schedulers
    import torch
    from mmengine.registry import PARAM_SCHEDULERS

    def build(config, optimizer):
        return PARAM_SCHEDULERS.build(dict(config), default_args={"optimizer": optimizer})

    found = {name: follow(configs, make_optimizer(torch), build) for name, configs in CASES.items()}
    Path(__file__).with_name("curves.json").write_text(json.dumps({"made_with": "mmengine 0.10.7", "values": found}))


if __name__ == "__main__":
    main()
