"""Cost formulas of attention, which give the same number for every attention kernel.

A causal or block-sparse mask does not lower the count, and recomputation in a fused backward pass does not raise it.
The result is that of the formula used in papers.

Source: Chowdhery et al. 2022 (PaLM, arXiv:2204.02311), appendix B, which counts every pair of a query and a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eng.analysis._cost import Cost, Formula, Rule, numel

# Names of dimensions in this module: B batch (any number of leading dimensions), H heads, L queries, S keys, D width of
# queries and keys, V width of values, E = H * D.


def attention_macs(batch_heads_queries: int, keys: int, query_width: int, value_width: int) -> int:
    """Returns the number of multiply-adds of scaled dot-product attention.

    Each head needs L x S x D multiply-adds for the scores and L x S x V for the weighted sum of the values.

    Args:
        batch_heads_queries: product of batch size, number of heads and number of queries L.
        keys: number of keys S.
        query_width: width D of queries and keys.
        value_width: width V of values.
    """
    return batch_heads_queries * keys * (query_width + value_width)


def scaled_dot_product(first: int = 0, factor: int = 1) -> Formula:
    """Returns a function that computes the multiply-adds of an attention operator from the shapes of its arguments.

    The operator's arguments include query (B, H, L, D), key (B, H', S, D) and value (B, H', S, V), where H' is the
    number of key-value heads.

    Args:
        first: position of the query among the operator's arguments; key and value are the next two.
        factor: factor by which the forward cost is multiplied; 2 for the operator of a backward pass.
    """

    def formula(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
        query, key, value = _query_key_value(args, kwargs, first)
        return Cost(
            macs=factor * attention_macs(numel(query.shape[:-1]), key.shape[-2], query.shape[-1], value.shape[-1])
        )

    return formula


def _query_key_value(args: Sequence[Any], kwargs: Mapping[str, Any], first: int) -> list[Any]:
    positional = list(args[first : first + 3])
    return positional + [kwargs[name] for name in ("query", "key", "value")[len(positional) :]]


def sequence_first(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
    """Returns the multiply-adds of attention kernels in which the heads follow the sequence dimension.

    Query is (B, L, H, D), key (B, S, H', D) and value (B, S, H', V).
    """
    query, key, value = args[:3]
    return Cost(macs=attention_macs(numel(query.shape[:-1]), key.shape[1], query.shape[-1], value.shape[-1]))


def multi_head(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
    """Returns the multiply-adds of torch's fused operator for `nn.MultiheadAttention`.

    It computes four linear projections (query, key, value, output) and the attention.
    """
    query_BLE, key_BSE, embed = args[0], args[1], args[3]
    batch, queries, keys = query_BLE.shape[0], query_BLE.shape[1], key_BSE.shape[1]
    projections = batch * (2 * queries + 2 * keys) * embed * embed
    return Cost(macs=projections + attention_macs(batch * queries, keys, embed, embed))


def encoder_layer(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
    """Returns the operations of torch's fused operator for `nn.TransformerEncoderLayer`.

    They are the multiply-adds of multi-head attention and two linear layers, and 5 other operations per element for
    each of two layer norms.
    """
    source_BLE, embed, hidden = args[0], args[1], args[14].shape[0]
    tokens = numel(source_BLE.shape[:-1])
    feed_forward = Cost(macs=2 * tokens * embed * hidden, other=2 * 5 * source_BLE.numel())
    return multi_head((source_BLE, source_BLE, source_BLE, embed), {}, outputs).plus(feed_forward)


_KERNELS = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")

ATTENTION_RULES: dict[str, Rule] = {
    "aten::scaled_dot_product_attention": Rule(scaled_dot_product(), activates=True),
    "aten::_scaled_dot_product_fused_attention_overrideable": Rule(scaled_dot_product(), activates=True),
    **{f"aten::_scaled_dot_product_{name}": Rule(scaled_dot_product(), activates=True) for name in _KERNELS},
    # The backward pass costs twice the forward pass: it computes four matrix products (the gradients of query, key,
    # value and scores), the forward pass two.
    "aten::_scaled_dot_product_flash_attention_backward": Rule(scaled_dot_product(1, factor=2)),
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": Rule(scaled_dot_product(1, factor=2)),
    "aten::_scaled_dot_product_efficient_attention_backward": Rule(scaled_dot_product(1, factor=2)),
    "aten::_scaled_dot_product_cudnn_attention_backward": Rule(scaled_dot_product(1, factor=2)),
    "aten::_scaled_dot_product_fused_attention_overrideable_backward": Rule(scaled_dot_product(1, factor=2)),
    "flex_attention": Rule(scaled_dot_product(), activates=True),
    "flex_attention_backward": Rule(scaled_dot_product(0, factor=2)),
    "aten::_flash_attention_forward": Rule(sequence_first, activates=True),
    "aten::_efficient_attention_forward": Rule(sequence_first, activates=True),
    "aten::_native_multi_head_attention": Rule(multi_head, activates=True),
    "aten::_transformer_encoder_layer_fwd": Rule(encoder_layer, activates=True),
}
