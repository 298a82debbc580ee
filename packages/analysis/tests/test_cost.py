from __future__ import annotations

import torch
from analysis_parts import block_macs
from models import gpt

from eng.analysis import FlopAnalyzer


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


def test_seventy_billion_parameters_are_counted_without_weights() -> None:
    with torch.device("meta"):
        model = gpt(width=8192, heads=64, blocks=87)
    assert sum(parameter.numel() for parameter in model.parameters()) > 70e9
    analyzer = FlopAnalyzer(model, zeros(1, 128, 8192, device="meta"))
    norms = 87 * 2 * 5 * 128 * 8192
    assert analyzer.total() == 87 * block_macs(1, 128, 8192) + norms
