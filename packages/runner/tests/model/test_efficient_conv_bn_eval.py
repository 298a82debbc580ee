from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from eng.model.efficient_conv_bn_eval import (
    efficient_conv_bn_eval_forward,
    turn_on_efficient_conv_bn_eval,
    turn_on_efficient_conv_bn_eval_for_single_model,
)


class DoubledConv2d(nn.Conv2d):
    """Computes with another weight than its own, as convolutions with standardised weights do."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 2 * weight, bias)


CONVS = {
    "1d": (nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), (2, 4, 9)),
    "2d": (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), (2, 4, 9, 9)),
    "2d-reflect": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6), (2, 4, 9, 9)),
    "2d-uneven": (nn.Conv2d(4, 6, (3, 5), padding=(1, 3), padding_mode="circular"), nn.BatchNorm2d(6), (2, 4, 9, 9)),
    "2d-same": (
        nn.Conv2d(4, 6, (4, 3), padding="same", dilation=(1, 2), padding_mode="replicate"),
        nn.BatchNorm2d(6),
        (2, 4, 9, 9),
    ),
    "2d-valid": (nn.Conv2d(4, 6, 3, padding="valid", padding_mode="reflect"), nn.BatchNorm2d(6), (2, 4, 9, 9)),
    "1d-zeros-same": (nn.Conv1d(4, 6, 4, padding="same"), nn.BatchNorm1d(6), (2, 4, 9)),
    "2d-groups": (nn.Conv2d(4, 6, 3, groups=2, dilation=2), nn.BatchNorm2d(6, affine=False), (2, 4, 9, 9)),
    "3d": (nn.Conv3d(4, 6, 2), nn.BatchNorm3d(6), (1, 4, 4, 4, 4)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), nn.BatchNorm2d(6), (2, 4, 5, 5)),
    "transposed-groups": (nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), (2, 4, 5, 5)),
    "transposed-1d": (nn.ConvTranspose1d(4, 6, 3), nn.BatchNorm1d(6), (2, 4, 5)),
}


@pytest.mark.parametrize(("conv", "norm", "shape"), CONVS.values(), ids=CONVS)
def test_conv_and_norm_become_one_convolution_in_evaluation(conv, norm, shape):
    torch.manual_seed(0)
    model = nn.Sequential(copy.deepcopy(conv), copy.deepcopy(norm), nn.ReLU())
    model(torch.randn(shape))
    model[1].running_var.uniform_(0.5, 2)
    if model[1].affine:
        nn.init.normal_(model[1].weight)
        nn.init.normal_(model[1].bias)
    fast = copy.deepcopy(model)
    turn_on_efficient_conv_bn_eval_for_single_model(fast)
    assert list(fast.state_dict()) == list(model.state_dict())
    model.eval(), fast.eval()
    x = torch.randn(shape)
    assert torch.allclose(fast(x), model(x), atol=1e-5)
    calls = []
    fast[1].register_forward_hook(lambda *_: calls.append(1))
    for one in (model, fast):
        one.zero_grad()
        one(x).square().mean().backward()
    assert not calls
    for (name, a), (_, b) in zip(model.named_parameters(), fast.named_parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-5), name
    model.train(), fast.train()
    assert torch.allclose(fast(x), model(x), atol=1e-5)
    assert torch.allclose(fast[1].running_mean, model[1].running_mean, atol=1e-6)


def test_a_subclass_computes_as_it_does_alone():
    conv, norm, x = DoubledConv2d(4, 6, 3), nn.BatchNorm2d(6).eval(), torch.randn(2, 4, 9, 9)
    norm.running_var.uniform_(0.5, 2)
    assert torch.allclose(efficient_conv_bn_eval_forward(norm, conv, x), norm(conv(x)), atol=1e-5)


def test_a_convolution_used_twice_is_left():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    model = Twice().eval()
    x = torch.rand(1, 1, 2, 2)
    expected = model(x)
    turn_on_efficient_conv_bn_eval_for_single_model(model)
    assert torch.allclose(model(x), expected)


def test_parts_are_turned_on_by_name():
    model = nn.ModuleDict({"backbone": nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))}).eval()
    x = torch.rand(1, 1, 2, 2)
    expected = model["backbone"](x)
    turn_on_efficient_conv_bn_eval(model, "backbone")
    assert torch.allclose(model["backbone"](x), expected)
    with pytest.raises(AttributeError, match=r"ModuleDict has no part 'neck'; it has \['backbone'\]"):
        turn_on_efficient_conv_bn_eval(model, ["neck"])


def test_a_weight_that_the_convolution_computes_is_used_as_it_stands():
    torch.manual_seed(0)
    conv, x = nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)), torch.randn(2, 4, 5, 5)
    model = nn.Sequential(conv, nn.BatchNorm2d(6))
    model(x)
    model.eval()
    expected = model(x)
    calls = []
    conv.register_forward_hook(lambda *_: calls.append(1))
    turn_on_efficient_conv_bn_eval_for_single_model(model)
    assert torch.allclose(model(x), expected, atol=1e-5)
    assert not calls
