"""Schedulers: spans, units, conversion, state, momentum, metrics and mistakes."""

from __future__ import annotations

import pytest

from eng.optim import (
    ConstantLR,
    CosineAnnealingLR,
    CosineRestartLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    OneCycleParamScheduler,
    ReduceOnPlateauLR,
    StepLR,
)

BAD = {
    "end before begin": (
        lambda o: LinearLR(o, begin=5, end=5),
        "end should be larger than begin, got begin=5 and end=5",
    ),
    "milestones out of order": (
        lambda o: MultiStepLR(o, [9, 3]),
        r"ascending order, got \[9, 3\]; did you mean \[3, 9\]",
    ),
    "milestones that are none": (lambda o: MultiStepLR(o, 5), "milestones must be a list of whole numbers, got 5"),
    "begin": (lambda o: LinearLR(o, begin=-1), "begin must be 0 or more, got -1"),
    "milestones in halves": (lambda o: MultiStepLR(o, [1.5]), "must be whole numbers"),
    "unknown unit": (lambda o: StepLR(o, 3, by="updates"), "did you mean 'update'"),
    "last_step": (lambda o: StepLR(o, 3, last_step=-2), "last_step must be a whole number"),
    "step_size": (lambda o: StepLR(o, 0), "step_size must be positive"),
    "factor of constant": (lambda o: ConstantLR(o, factor=2), "factor must be between 0 and 1, got 2"),
    "factor of linear": (lambda o: LinearLR(o, start_factor=-1), "start_factor must be between 0 and 1"),
    "end factor": (lambda o: LinearLR(o, end_factor=1.5), "end_factor must be between 0 and 1"),
    "two floors": (lambda o: CosineAnnealingLR(o, eta_min=0, eta_min_ratio=0.1), "not both"),
    "T_max": (lambda o: CosineAnnealingLR(o, T_max=-1), "T_max must be positive"),
    "restart without floor": (lambda o: CosineRestartLR(o, [3]), "give either eta_min or eta_min_ratio"),
    "restart weights": (lambda o: CosineRestartLR(o, [3, 4], eta_min=0), "2 periods and 1 weights"),
    "one cycle of momentum": (lambda o: OneCycleParamScheduler(o, "momentum"), "moves only the learning rate"),
    "total_steps": (lambda o: OneCycleLR(o, total_steps=0), "total_steps must be a positive whole number"),
    "pct_start": (lambda o: OneCycleLR(o, pct_start=2.0), "pct_start must be between 0 and 1"),
    "anneal_strategy": (lambda o: OneCycleLR(o, anneal_strategy="cosine"), "did you mean 'cos'"),
    "eta_max": (lambda o: OneCycleLR(o, eta_max=[1.0]), "1 value for 2 parameter groups"),
    "plateau factor": (lambda o: ReduceOnPlateauLR(o, factor=1.0), "factor must be below 1"),
    "plateau threshold": (lambda o: ReduceOnPlateauLR(o, threshold=-1), "threshold must be 0 or more"),
    "plateau rule": (lambda o: ReduceOnPlateauLR(o, rule="min"), "unknown rule 'min'"),
    "plateau threshold rule": (
        lambda o: ReduceOnPlateauLR(o, threshold_rule="relative"),
        "did you mean 'rel'|there are",
    ),
    "plateau of iterations": (lambda o: ReduceOnPlateauLR(o, by_epoch=False), "by_epoch must be True"),
    "plateau min_value": (lambda o: ReduceOnPlateauLR(o, min_value=[0.1]), "1 value for 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named(sgd, name):
    build, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        build(sgd)
