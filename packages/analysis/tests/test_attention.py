from __future__ import annotations

import pytest
import torch
from analysis_parts import attention_macs, flops
from model_parts import Call
from torch import nn
from torch.nn import functional as F

from eng.analysis._capture import counting
from eng.analysis._formulas import RULES


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


@pytest.mark.parametrize("needs_values", [False, True], ids=["meta", "real"])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "with backward"])
def test_attention_has_one_count_on_every_backend(needs_values, causal, backward) -> None:
    attend = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal), needs_values=needs_values)
    query = zeros(2, 4, 8, 16, requires_grad=True)
    expected = attention_macs(2, 4, 8, 8, 16) * (3 if backward else 1)
    assert flops(attend, query, query, query, backward=backward) == expected


def test_attention_of_grouped_queries_counts_every_query_head() -> None:
    attend = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    assert flops(attend, zeros(2, 8, 6, 16), zeros(2, 2, 10, 16), zeros(2, 2, 10, 16)) == attention_macs(
        2, 8, 6, 10, 16
    )


@pytest.mark.parametrize(
    "kernel",
    [torch.nn.attention.SDPBackend.FLASH_ATTENTION, torch.nn.attention.SDPBackend.MATH],
    ids=["flash", "math"],
)
def test_kernels_called_below_the_function_count_alike(kernel) -> None:
    query = zeros(2, 4, 8, 16)
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(kernel), counting(nn.Identity(), RULES) as counter:
        torch.ops.aten.scaled_dot_product_attention(query, query, query)
    assert sum(cost.macs for cost in counter.tally.costs[""].values()) == attention_macs(2, 4, 8, 8, 16)


@pytest.mark.parametrize("name", ["flash_attention", "efficient_attention", "cudnn_attention"])
def test_formulas_of_gpu_kernels_read_the_same_arguments(name) -> None:
    query, key = zeros(2, 4, 8, 16, device="meta"), zeros(2, 4, 10, 16, device="meta")
    forward = RULES[f"aten::_scaled_dot_product_{name}"].formula((query, key, key), {}, (query,))
    backward = RULES[f"aten::_scaled_dot_product_{name}_backward"].formula((query, query, key, key), {}, (query,))
    assert (forward.macs, backward.macs) == (attention_macs(2, 4, 8, 10, 16), 2 * attention_macs(2, 4, 8, 10, 16))


def test_flex_attention() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    with pytest.warns(UserWarning, match="flex_attention"):
        assert flops(Call(flex_attention), *[zeros(1, 2, 16, 16)] * 3) == attention_macs(1, 2, 16, 16, 16)
