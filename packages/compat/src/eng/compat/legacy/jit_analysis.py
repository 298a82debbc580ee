"""Replaces ``mmengine.analysis.jit_analysis``: the base class of analyzers, whose handles the user sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from eng.analysis import ActivationAnalyzer, FlopAnalyzer
from eng.analysis.complexity_analysis import ModelAnalysis

from . import jit_handles as handles

__all__ = ["JitModelAnalysis", "Statistics"]

#: Operators that MMEngine neither counts nor reports as unsupported.
_IGNORED_OPS = {
    f"aten::{name}"
    for name in (
        "Int", "ScalarImplicit", "__and__", "arange", "bitwise_not", "cat", "chunk", "clamp", "clamp_", "constant_pad_nd",
        "contiguous", "copy_", "detach", "dropout", "empty", "eq", "expand", "flatten", "floor", "floor_divide", "full",
        "full_like", "gather", "ge", "gt", "index", "index_put_", "masked_fill", "max", "narrow", "new_empty", "new_full",
        "new_zeros", "nonzero", "ones", "permute", "relu", "relu_", "remainder", "reshape", "roll", "select", "size",
        "slice", "split", "split_with_sizes", "squeeze", "stack", "t", "to", "transpose", "type_as", "unbind", "unsqueeze",
        "unsqueeze_", "view", "zeros", "zeros_like",
    )
}  # fmt: skip

_DEFAULT_SUPPORTED_FLOP_OPS: dict[str, handles.Handle] = {
    "aten::addmm": handles.addmm_flop_jit,
    "aten::bmm": handles.bmm_flop_jit,
    "aten::_convolution": handles.conv_flop_jit,
    "aten::einsum": handles.einsum_flop_jit,
    "aten::matmul": handles.matmul_flop_jit,
    "aten::mm": handles.matmul_flop_jit,
    "aten::linear": handles.linear_flop_jit,
    "aten::batch_norm": handles.batchnorm_flop_jit,
    "aten::group_norm": handles.norm_flop_counter(2),
    "aten::layer_norm": handles.norm_flop_counter(2),
    "aten::instance_norm": handles.norm_flop_counter(1),
    "aten::upsample_nearest2d": handles.elementwise_flop_counter(0, 1),
    "aten::upsample_bilinear2d": handles.elementwise_flop_counter(0, 4),
    "aten::adaptive_avg_pool2d": handles.elementwise_flop_counter(1, 0),
    "aten::grid_sampler": handles.elementwise_flop_counter(0, 4),
}
_DEFAULT_SUPPORTED_ACT_OPS: dict[str, handles.Handle] = {
    "aten::_convolution": handles.generic_activation_jit("conv"),
    "aten::addmm": handles.generic_activation_jit(),
    "aten::bmm": handles.generic_activation_jit(),
    "aten::einsum": handles.generic_activation_jit(),
    "aten::matmul": handles.generic_activation_jit(),
    "aten::linear": handles.generic_activation_jit(),
}


@dataclass
class Statistics:
    """What was counted in one run of a model.

    Args:
        counts: flops of each operator, by name of the module.
        unsupported_ops: number of calls of each operator without a handle, by module.
        uncalled_mods: names of modules whose forward was never called.
    """

    counts: dict[str, Counter[str]]
    unsupported_ops: dict[str, Counter[str]]
    uncalled_mods: set[str]


class JitModelAnalysis(ModelAnalysis):
    """Counts the flops of those operators for which the user sets a handle (a function that computes the flops).

    ``isinstance(analyzer, JitModelAnalysis)`` is also True for the analyzers of :mod:`eng.analysis`.

    Args:
        model: the module.
        inputs: a tensor, or a tuple of positional arguments.
    """

    def __init__(self, model: Any, inputs: Any) -> None:
        super().__init__(model, inputs)
        self.clear_op_handles()

    def _counts(self, module_name: str) -> Counter[str]:
        costs = self.tally.costs[module_name]
        return Counter({name.removeprefix("aten::"): cost.flops(self.convention) for name, cost in costs.items()})


JitModelAnalysis.register(FlopAnalyzer)
JitModelAnalysis.register(ActivationAnalyzer)
