from __future__ import annotations

import pytest
import torch

from eng.optim import OneCycleLR
from eng.optim.scheduler import curves
from eng.registry import PARAM_SCHEDULERS


def test_one_cycle_passes_its_heights_at_its_turning_points():
    points, heights = [3.0, 9.0, 19.0], [0.1, 1.0, 0.1, 0.001]
    for strategy in ("cos", "linear"):
        assert curves.one_cycle(0, points, heights, strategy) == pytest.approx(0.1)
        for point, height in zip(points, heights[1:], strict=True):
            assert curves.one_cycle(int(point), points, heights, strategy) == pytest.approx(height)


def test_one_cycle_equals_torch():
    ours = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    cycle = PARAM_SCHEDULERS.build({"type": "OneCycleLR", "optimizer": ours, "eta_max": 0.5, "total_steps": 30})
    bare = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.5, total_steps=30, cycle_momentum=False)
    for _ in range(28):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        cycle.step()
        bare.step()


def test_a_cycle_that_is_over(sgd):
    scheduler = OneCycleLR(sgd, eta_max=1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="step 5 of a cycle of 3"):
        scheduler.step()
