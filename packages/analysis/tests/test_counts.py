"""Counts against formulas worked out by hand; multiply-adds unless a test says otherwise."""

from __future__ import annotations

import math

import pytest
import torch
from models import Block, ResNet50, ViTB16, gpt
from torch import nn
from torch.nn import functional as F

from eng.analysis import ActivationAnalyzer, FlopAnalyzer
from eng.analysis._capture import ModuleTracker, OperatorCounter, counting
from eng.analysis._formulas import RULES


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function, *, needs_values: bool = False) -> None:
        super().__init__()
        self.function, self.needs_values = function, needs_values

    def forward(self, *args):
        if self.needs_values:
            args[0].sum().item()  # meta tensors have no value to give: the run falls back to real ones
        return self.function(*args)


def flops(model, *inputs, **options) -> int:
    return FlopAnalyzer(model, inputs, **options).total()


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


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
def test_the_fused_lstm_kernel_counts_as_its_matrix_products(bidirectional) -> None:
    lstm = nn.LSTM(8, 16, bidirectional=bidirectional)
    on_meta = flops(lstm, zeros(5, 2, 8))
    fused = FlopAnalyzer(Call(lambda x: lstm(x), needs_values=True), zeros(5, 2, 8))
    assert fused.total() == on_meta
    assert on_meta == (1 + bidirectional) * 10 * 64 * (8 + 16)


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


# --- attention ---------------------------------------------------------------------------------------------------


def attention_macs(batch, heads, queries, keys, width) -> int:
    return 2 * batch * heads * queries * keys * width


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


def block_macs(batch, length, width) -> int:
    return batch * length * 12 * width**2 + attention_macs(batch, 1, length, length, width)


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


def test_the_input_of_a_model_needs_no_gradient() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    first, second = 4 * 36 * 27, 4 * 16 * 36
    assert flops(model, zeros(1, 3, 8, 8), backward=True) == 2 * first + 3 * second


def test_vit_b16_has_17_58_billion() -> None:
    analyzer = FlopAnalyzer(ViTB16(), zeros(1, 3, 224, 224))
    expected = 768 * 196 * 3 * 256 + 12 * block_macs(1, 197, 768) + 768 * 1000
    assert sum(n for name, n in analyzer.by_operator().items() if "norm" not in name) == expected
    assert math.isclose(analyzer.total(), 17.58e9, rel_tol=1e-3)


def test_resnet50_has_the_numbers_of_the_manual() -> None:
    flop_analyzer = FlopAnalyzer(ResNet50(), zeros(1, 3, 224, 224))
    assert math.isclose(flop_analyzer.total(), 4.145e9, rel_tol=1e-4)
    assert math.isclose(ActivationAnalyzer.of(flop_analyzer).total(), 11.115e6, rel_tol=1e-4)


def test_seventy_billion_parameters_are_counted_without_weights() -> None:
    with torch.device("meta"):
        model = gpt(width=8192, heads=64, blocks=87)
    assert sum(parameter.numel() for parameter in model.parameters()) > 70e9
    analyzer = FlopAnalyzer(model, zeros(1, 128, 8192, device="meta"))
    norms = 87 * 2 * 5 * 128 * 8192
    assert analyzer.total() == 87 * block_macs(1, 128, 8192) + norms
