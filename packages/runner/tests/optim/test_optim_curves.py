"""The curves: against values that MMEngine 0.10.7 gave, and against their closed forms."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from eng.optim.scheduler import curves
from eng.registry import PARAM_SCHEDULERS

DATA = Path(__file__).with_name("data")
sys.path.insert(0, str(DATA))
import make_curves

EXPECTED = json.loads((DATA / "curves.json").read_text())["values"]


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_the_reference(name):
    def build(config, optimizer):
        return PARAM_SCHEDULERS.build(dict(config), default_args={"optimizer": optimizer})

    found = make_curves.follow(make_curves.CASES[name], make_curves.make_optimizer(torch), build)
    for step, (ours, theirs) in enumerate(zip(found, EXPECTED[name], strict=True)):
        for key, values in theirs.items():
            assert ours[key] == pytest.approx(values, rel=1e-12, abs=1e-18), (step, key)


BASE, STEPS = 0.3, 60


def followed(following):
    value, seen = BASE, []
    for step in range(STEPS):
        value = following(value, step)
        seen.append(value)
    return seen


CLOSED = {
    "exponential": (
        lambda v, s: curves.exponential(v, s, 0.95),
        lambda s: BASE * 0.95**s,
    ),
    "staircase": (
        lambda v, s: curves.staircase(v, s, 7, 0.5),
        lambda s: BASE * 0.5 ** (s // 7),
    ),
    "milestones": (
        lambda v, s: curves.milestones_passed(v, s, {5: 1, 20: 2}, 0.1),
        lambda s: BASE * 0.1 ** ((s >= 5) + 2 * (s >= 20)),
    ),
    "constant": (
        lambda v, s: curves.constant(v, BASE, s, 30, 0.25),
        lambda s: BASE * (0.25 if s < 30 else 1),
    ),
    "constant of nothing": (
        lambda v, s: curves.constant(v, BASE, s, 30, 0.0),
        lambda s: 0.0 if s < 30 else BASE,
    ),
    "linear": (
        lambda v, s: curves.linear(v, BASE, s, STEPS - 1, 0.1, 1.0),
        lambda s: BASE * (0.1 + 0.9 * s / (STEPS - 1)),
    ),
    "linear from zero": (
        lambda v, s: curves.linear(v, BASE, s, STEPS - 1, 0.0, 1.0),
        lambda s: BASE * s / (STEPS - 1),
    ),
    "cosine": (
        lambda v, s: curves.cosine_annealing(v, BASE, s, 20, 0.01),
        lambda s: 0.01 + (BASE - 0.01) * (1 + math.cos(math.pi * s / 20)) / 2,
    ),
    "cosine restart": (
        lambda v, s: curves.cosine_restart(v, BASE, s % 30, 30, 0.01, 0.5),
        lambda s: 0.01 + (BASE / 2 - 0.01) * (1 + math.cos(math.pi * (s % 30) / 30)) / 2,
    ),
    "polynomial": (
        lambda v, s: curves.polynomial(v, s, STEPS - 1, 0.9, 1e-3),
        lambda s: 1e-3 + (BASE - 1e-3) * (1 - s / (STEPS - 1)) ** 0.9,
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_following_a_curve_gives_its_closed_form(name):
    following, closed = CLOSED[name]
    assert followed(following) == pytest.approx([closed(step) for step in range(STEPS)], rel=1e-9, abs=1e-12)
