"""Attention over a shared sequence, against attention over the whole sequence in one call of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from eng.runner.errors import SettingsError
from eng.runner.strategy import context_attention
from eng.runner.strategy.context_attention import SequenceAttention

RANKS, LENGTH = 3, 4
WHOLE = RANKS * LENGTH


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


QUERY, KEY, VALUE = numbers(3, 2, 4, WHOLE, 8, seed=0).unbind()
VALUE = VALUE[..., :6]  # by which gathering tells values from keys
PADDING = numbers(2, 1, 1, WHOLE, seed=1) < 0.8
PADDING[..., 0] = True  # each query attends to a key, as in MASK
BIAS = numbers(2, 4, WHOLE, WHOLE, seed=2)
MASK = (BIAS > 0) | torch.eye(WHOLE, dtype=torch.bool)

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def attention(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], SequenceAttention]:
    """The context of each rank, where gathering gives what the ranks hold together."""

    def gathered(part: torch.Tensor, dim: int, group: Any) -> torch.Tensor:
        if dim == -1:
            return PADDING.to(part.dtype)
        return (KEY if part.size(-1) == KEY.size(-1) else VALUE).to(part.device)

    def of_rank(rank: int) -> SequenceAttention:
        monkeypatch.setattr(context_attention, "gather_parts", gathered)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda group: RANKS)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda group: rank)
        return SequenceAttention(group=None)  # type: ignore[arg-type]  # nothing is sent

    return of_rank


def part_of(tensor: torch.Tensor, rank: int, dim: int = -2) -> torch.Tensor:
    return tensor.narrow(dim, rank * LENGTH, LENGTH)


@pytest.mark.parametrize("rank", range(RANKS))
@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({}, lambda rank: {}),
        ({"is_causal": True}, lambda rank: {"is_causal": True}),
        ({"is_causal": True, "scale": 0.3}, lambda rank: {"is_causal": True, "scale": 0.3}),
        ({"attn_mask": BIAS}, lambda rank: {"attn_mask": part_of(BIAS, rank)}),
        ({"attn_mask": MASK}, lambda rank: {"attn_mask": part_of(MASK, rank)}),
        ({"attn_mask": PADDING}, lambda rank: {"attn_mask": PADDING}),
        ({"attn_mask": PADDING}, lambda rank: {"attn_mask": part_of(PADDING, rank, -1)}),
        ({"attn_mask": PADDING.float()}, lambda rank: {"attn_mask": part_of(PADDING.float(), rank, -1)}),
    ],
    ids=["all", "causal", "scaled", "bias", "mask", "padding", "own padding", "own padding as numbers"],
)
def test_a_rank_computes_its_rows_of_the_whole_attention(
    attention: Any, rank: int, options: dict[str, Any], own: Callable[[int], dict[str, Any]]
) -> None:
    expected = part_of(scaled_dot_product_attention(QUERY, KEY, VALUE, **options), rank)
    with attention(rank) as mode:
        computed = scaled_dot_product_attention(*(part_of(tensor, rank) for tensor in (QUERY, KEY, VALUE)), **own(rank))
    torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-6)
    assert mode.calls == 1


def test_grouped_queries_and_arguments_by_name_are_taken(attention: Any) -> None:
    query = numbers(2, 8, WHOLE, 8, seed=3)
    expected = part_of(scaled_dot_product_attention(query, KEY, VALUE, is_causal=True, enable_gqa=True), 1)
    key, value = part_of(KEY, 1), part_of(VALUE, 1)
    with attention(1):
        computed = scaled_dot_product_attention(
            query=part_of(query, 1), key=key, value=value, is_causal=True, enable_gqa=True
        )
    torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])])
def test_a_layer_that_is_checkpointed_sees_the_whole_sequence_in_the_backward(attention: Any, device: str) -> None:
    query, key, value = (tensor.to(device) for tensor in (QUERY, KEY, VALUE))
    weight = numbers(8, 8, seed=4).to(device).requires_grad_()

    def loss_of(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return scaled_dot_product_attention(query @ weight, key, value, is_causal=True).square().sum()

    part_of(scaled_dot_product_attention(query @ weight, key, value, is_causal=True), 2).square().sum().backward()
    expected, weight.grad = weight.grad, None
    with attention(2) as mode:
        checkpoint(loss_of, *(part_of(tensor, 2) for tensor in (query, key, value)), use_reentrant=False).backward()
    torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-5)
    assert mode.calls == 2


def test_a_backward_that_is_given_a_gradient_passes_it_on(attention: Any) -> None:
    weight = torch.ones(2, requires_grad=True)
    with attention(0):
        (3 * weight).backward(torch.tensor([1.0, 2.0]), retain_graph=True)
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.ones(()).backward()
    assert weight.grad.tolist() == [3.0, 6.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"attn_mask": torch.ones(LENGTH, LENGTH).bool()},
            "an attention mask of 4 rows and 4 columns does not fit a sequence of 12 positions, of which this rank has 4",
        ),
        (
            {"attn_mask": torch.ones(WHOLE, WHOLE).bool()},
            "an attention mask of 12 rows and 12 columns does not fit a sequence of 12 positions, of which this rank has 4",
        ),
    ],
    ids=["own columns", "all rows"],
)
def test_a_mask_that_lacks_columns_is_refused(attention: Any, options: dict[str, Any], message: str) -> None:
    with attention(0), pytest.raises(SettingsError, match=message):
        scaled_dot_product_attention(*(part_of(tensor, 0) for tensor in (QUERY, KEY, VALUE)), **options)


def test_causal_attention_to_another_sequence_is_refused(attention: Any) -> None:
    query, key, value = (part_of(tensor, 0) for tensor in (QUERY, KEY, VALUE))
    with attention(0), pytest.raises(SettingsError, match="as many queries as keys on each rank, got 2 and 4"):
        scaled_dot_product_attention(query[..., :2, :], key, value, is_causal=True)


def test_attention_that_torch_hides_is_refused(attention: Any) -> None:
    layer, x = nn.MultiheadAttention(8, 2), numbers(LENGTH, 1, 8, seed=5)
    with (
        attention(0),
        pytest.raises(SettingsError, match=r"nn\.MultiheadAttention calls it where no mode of torch sees"),
    ):
        layer(x, x, x, need_weights=False)
