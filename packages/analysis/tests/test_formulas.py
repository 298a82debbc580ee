from __future__ import annotations

import pytest
import torch
from analysis_parts import flops
from model_parts import Call
from torch import nn
from torch.nn import functional as F


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (nn.Linear(10, 7), (3, 10), 3 * 10 * 7),
        (nn.Linear(10, 7, bias=False), (2, 5, 10), 2 * 5 * 10 * 7),
        (nn.Conv1d(4, 6, 3), (2, 4, 9), 2 * 6 * 7 * 4 * 3),
        (nn.Conv2d(3, 10, 3), (1, 3, 10, 10), 10 * 8 * 8 * 3 * 3 * 3),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 5, 5), 8 * 5 * 5 * 3 * 3),
        (nn.Conv2d(4, 8, 3, dilation=2, stride=2), (1, 4, 11, 11), 8 * 4 * 4 * 4 * 9),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 3 * 3**3 * 2 * 2**3),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 4 * 5 * 5 * 6 * 3 * 3),
        (nn.ConvTranspose1d(4, 4, 3, groups=2), (1, 4, 5), 4 * 5 * 2 * 3),
        (nn.Bilinear(4, 5, 6), (2, 4), None),
        (nn.LSTM(8, 16, 2, bidirectional=True), (5, 2, 8), 10 * 2 * (64 * 8 + 64 * 16 + 64 * 32 + 64 * 16)),
        (nn.GRU(8, 16), (5, 2, 8), 10 * 48 * (8 + 16)),
        (nn.RNN(8, 16), (5, 2, 8), 10 * 16 * (8 + 16)),
        (nn.LSTMCell(8, 16), (3, 8), 3 * 64 * (8 + 16)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_with_multiply_adds(model, shape, expected) -> None:
    if expected is None:  # two multiplications for every element of (2, 6, 4, 5)
        assert flops(model, zeros(2, 4), zeros(2, 5)) == 2 * 2 * 6 * 4 * 5
        return
    assert flops(model, zeros(*shape)) == expected
    assert flops(model, zeros(*shape), convention="flops") == 2 * expected


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (nn.BatchNorm2d(3), (2, 3, 4, 4), 96 * 5),
        (nn.BatchNorm2d(3).eval(), (2, 3, 4, 4), 96 * 2),
        (nn.BatchNorm2d(3, affine=False).eval(), (2, 3, 4, 4), 96),
        (nn.LayerNorm(6), (4, 6), 24 * 5),
        (nn.LayerNorm(6, elementwise_affine=False), (4, 6), 24 * 4),
        (nn.GroupNorm(2, 4), (1, 4, 3, 3), 36 * 5),
        (nn.InstanceNorm2d(3), (2, 3, 4, 4), 96 * 4),
        (nn.AdaptiveAvgPool2d(1), (1, 3, 8, 8), 3 * 64),
        (nn.AdaptiveAvgPool2d(2), (1, 3, 8, 8), 3 * 64),
        (nn.AvgPool2d(2), (1, 3, 8, 8), 3 * 16 * 4),
        (nn.AvgPool3d(2), (1, 3, 8, 8, 8), 3 * 64 * 8),
        (nn.Upsample(scale_factor=2), (1, 3, 4, 4), 3 * 64),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 4, 4), 3 * 64 * 4),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (1, 3, 4, 4), 3 * 64 * 16),
        (nn.Upsample(scale_factor=2, mode="linear"), (1, 3, 4), 3 * 8 * 2),
        (nn.Upsample(scale_factor=2, mode="trilinear"), (1, 3, 4, 4, 4), 3 * 512 * 8),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_without_multiply_adds_count_alike_in_both_conventions(model, shape, expected) -> None:
    assert flops(model, zeros(*shape)) == expected
    assert flops(model, zeros(*shape), convention="flops") == expected


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), [(2, 4, 8, 16)] * 2, 2 * 4 * 8 * 8 * 16),
        (torch.bmm, [(3, 4, 5), (3, 5, 6)], 3 * 4 * 5 * 6),
        (torch.baddbmm, [(3, 4, 6), (3, 4, 5), (3, 5, 6)], 3 * 4 * 5 * 6),
        (torch.addmm, [(4, 6), (4, 5), (5, 6)], 4 * 5 * 6),
        (torch.mv, [(4, 5), (5,)], 20),
        (torch.dot, [(7,), (7,)], 7),
        (torch.matmul, [(2, 3, 4), (4, 5)], 2 * 3 * 4 * 5),
        (lambda x: F.grid_sample(x, zeros(1, 4, 4, 2), align_corners=False), [(1, 3, 8, 8)], 3 * 16 * 4),
        (lambda x: F.grid_sample(x, zeros(1, 4, 4, 4, 3), align_corners=False), [(1, 3, 8, 8, 8)], 3 * 64 * 8),
        (lambda x: F.embedding(zeros(2, 3, dtype=torch.long), x), [(10, 4)], 0),
        (lambda x: torch.fft.fft(x.to(torch.complex64)), [(5, 16)], round(2.5 * 80 * 4)),
        (torch.fft.rfft2, [(5, 8, 8)], round(2.5 * 320 * 6 / 2)),
        (lambda x: torch.fft.irfft(torch.fft.rfft(x)), [(16,)], 2 * round(2.5 * 16 * 4 / 2)),
    ],
    ids=["einsum", "bmm", "baddbmm", "addmm", "mv", "dot", "matmul", "grid_sample", "grid_sample3d", "embedding", "fft",
         "rfft2", "irfft"],
)  # fmt: skip
def test_functions(function, inputs, expected) -> None:
    assert flops(Call(function), *[zeros(*shape) for shape in inputs]) == expected


def test_the_input_of_a_model_needs_no_gradient() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    first, second = 4 * 36 * 27, 4 * 16 * 36
    assert flops(model, zeros(1, 3, 8, 8), backward=True) == 2 * first + 3 * second
