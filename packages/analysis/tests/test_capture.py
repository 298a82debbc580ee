from __future__ import annotations

import pytest
import torch
from analysis_parts import attention_macs, flops
from torch import nn

from eng.analysis import FlopAnalyzer
from eng.analysis._capture import ModuleTracker, OperatorCounter
from eng.analysis._formulas import RULES


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


def multi_head_macs(batch, length, width) -> int:
    return 4 * batch * length * width**2 + attention_macs(batch, 1, length, length, width)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_multihead_attention(training) -> None:
    module = nn.MultiheadAttention(32, 4, batch_first=True).train(training)
    assert flops(module, *[zeros(2, 8, 32)] * 3, forward_kwargs={"need_weights": False}) == multi_head_macs(2, 8, 32)


def test_fused_encoder_counts_what_its_parts_count() -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    in_parts = FlopAnalyzer(layer.train(), zeros(2, 8, 32))
    # A function mode would keep torch from its fast path, so the operator counter stands alone here.
    with torch.no_grad(), OperatorCounter(RULES, ModuleTracker(nn.Identity())) as counter:
        layer.eval()(zeros(2, 8, 32))
    fused = counter.tally.costs[""]
    assert set(fused) == {"aten::_transformer_encoder_layer_fwd"}
    assert in_parts.total() == multi_head_macs(2, 8, 32) + 2 * 16 * 32 * 64 + 2 * 5 * 512
    assert sum(cost.flops("macs") for cost in fused.values()) == in_parts.total()


def test_fused_multihead_attention_counts_what_its_parts_count() -> None:
    module, x = nn.MultiheadAttention(32, 4, batch_first=True).eval(), zeros(2, 8, 32)
    with torch.no_grad(), OperatorCounter(RULES, ModuleTracker(nn.Identity())) as counter:
        module(x, x, x, need_weights=False)
    assert counter.tally.costs[""]["aten::_native_multi_head_attention"].macs == multi_head_macs(2, 8, 32)
