"""Counts against formulas worked out by hand; multiply-adds unless a test says otherwise."""

from __future__ import annotations

import math

import pytest
import torch
from analysis_parts import block_macs, flops
from model_parts import Call
from models import Block, ResNet50, ViTB16
from torch import nn

from eng.analysis import ActivationAnalyzer, FlopAnalyzer


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
def test_the_fused_lstm_kernel_counts_as_its_matrix_products(bidirectional) -> None:
    lstm = nn.LSTM(8, 16, bidirectional=bidirectional)
    on_meta = flops(lstm, zeros(5, 2, 8))
    fused = FlopAnalyzer(Call(lambda x: lstm(x), needs_values=True), zeros(5, 2, 8))
    assert fused.total() == on_meta
    assert on_meta == (1 + bidirectional) * 10 * 64 * (8 + 16)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "in parts"])
def test_gpt_block(fused) -> None:
    analyzer = FlopAnalyzer(Block(64, 4, causal=fused, fused=fused), zeros(2, 16, 64))
    norms = 2 * 5 * 2 * 16 * 64
    assert analyzer.total() == block_macs(2, 16, 64) + norms


def test_backward_of_a_block_is_twice_its_forward() -> None:
    x = zeros(2, 16, 64, requires_grad=True)
    analyzer = FlopAnalyzer(Block(64, 4), x, backward=True)
    products = {name: n for name, n in analyzer.by_operator().items() if "norm" not in name}
    assert sum(products.values()) == 3 * block_macs(2, 16, 64)


def test_backward_is_attributed_to_the_modules_it_belongs_to() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    counts = FlopAnalyzer(model, zeros(3, 8, requires_grad=True), backward=True).by_module()
    assert (counts["0"], counts["2"], counts[""]) == (3 * 96, 3 * 24, 3 * 120)


def test_vit_b16_has_17_58_billion() -> None:
    analyzer = FlopAnalyzer(ViTB16(), zeros(1, 3, 224, 224))
    expected = 768 * 196 * 3 * 256 + 12 * block_macs(1, 197, 768) + 768 * 1000
    assert sum(n for name, n in analyzer.by_operator().items() if "norm" not in name) == expected
    assert math.isclose(analyzer.total(), 17.58e9, rel_tol=1e-3)


def test_resnet50_has_the_numbers_of_the_manual() -> None:
    flop_analyzer = FlopAnalyzer(ResNet50(), zeros(1, 3, 224, 224))
    assert math.isclose(flop_analyzer.total(), 4.145e9, rel_tol=1e-4)
    assert math.isclose(ActivationAnalyzer.of(flop_analyzer).total(), 11.115e6, rel_tol=1e-4)
