from __future__ import annotations

import pytest
from torch import nn

from eng.model import ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.tied = self.conv.weight

    def forward(self, x):
        return self.bn(self.conv(x))


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
