"""An EMA update of 25 M parameters beside one fused pass over the same tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.model import ExponentialMovingAverage, StochasticWeightAverage


def resnet_like(device: str) -> nn.Module:
    """About 25 M parameters in 161 tensors, with ResNet-50's kinds of layers."""
    layers: list[nn.Module] = []
    for index in range(53):
        width = 64 if index < 10 else 128 if index < 20 else 256 if index < 40 else 389
        layers += [nn.Conv2d(width, width, 3, bias=False), nn.BatchNorm2d(width)]
    layers += [nn.Linear(2048, 1000)]
    return nn.Sequential(*layers).to(device)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(
    ("make", "lerps"), [(ExponentialMovingAverage, 0.0002), (StochasticWeightAverage, 0.5)], ids=["ema", "swa"]
)
def test_update_against_one_lerp(versus, device, make, lerps):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    model = resnet_like(device)
    average = make(model)
    average.update_parameters(model)
    mine, theirs = list(average.module.parameters()), list(model.parameters())

    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    def update():
        average.update_parameters(model)
        wait()

    @torch.no_grad()
    def lerp():
        torch._foreach_lerp_(mine, theirs, lerps)
        wait()

    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    versus(
        f"{make.__name__} of {count:.0f} M parameters on {device}, against one _foreach_lerp_",
        update,
        lerp,
        target="<= 1.3",
        number=20 if device == "cpu" else 200,
    )
