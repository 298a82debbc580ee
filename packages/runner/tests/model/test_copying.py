from __future__ import annotations

import pytest
from model_parts import Net

from eng.model import ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ExponentialMovingAverage(Net(), momentum=1.0), "momentum is a share above 0 and below 1, got 1.0"),
        (lambda: MomentumAnnealingEMA(Net(), gamma=0), "gamma must be above 0, got 0"),
        (lambda: StochasticWeightAverage(Net(), interval=0), "interval must be 1 or more"),
    ],
    ids=["momentum", "gamma", "interval"],
)
def test_bad_settings(make, match):
    with pytest.raises(ValueError, match=match):
        make()
