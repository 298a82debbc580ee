"""Formulas that compute the cost of each operator from the shapes of its arguments.

The table `RULES` maps the name of an operator to its formula. Operators in `FREE` cost nothing. All other operators are
listed as uncounted by the analysis, with the number of their calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eng.analysis._attention import ATTENTION_RULES
from eng.analysis._cost import Cost, Formula, Rule, numel
from eng.analysis._sparse import is_sparse, sparse_product_macs

Args = Sequence[Any]
Kwargs = Mapping[str, Any]

# --- cost formulas of matrix products ------------------------------------------------------------------------


def matrix_product(first: int) -> Formula:
    """Returns a function that computes the multiply-adds of an operator that multiplies two matrices.

    Args:
        first: position of the left matrix among the operator's arguments; the right matrix is the next argument.
    """

    def formula(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
        """Returns the multiply-adds of one call; of sparse matrices only the stored elements count."""
        left, right = args[first], args[first + 1]
        if is_sparse(left) or is_sparse(right):
            return Cost(macs=sparse_product_macs(left, right))
        inner = left.shape[-1]
        columns = right.shape[-1] if right.dim() > 1 else 1
        batch = numel(left.shape[:-1]) if left.dim() > 1 else 1
        return Cost(macs=batch * inner * columns)

    return formula


def linear(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    return Cost(macs=outputs[0].numel() * args[1].shape[-1])


def trilinear(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the cost of torch's operator ``_trilinear``, which computes ``sum(a * b * c)`` of broadcast tensors.

    Every element of the broadcast shape counts as two multiply-adds.
    """
    operands, expanded = args[:3], args[3:6]
    dims = operands[0].dim() + len(expanded[0])
    sizes = [1] * dims
    for operand, missing in zip(operands, expanded, strict=True):
        kept_dims = [dim for dim in range(dims) if dim not in missing]
        for dim, size in zip(kept_dims, operand.shape, strict=True):
            sizes[dim] = max(sizes[dim], size)
    return Cost(macs=2 * numel(sizes))


# --- cost formulas of convolutions ---------------------------------------------------------------------------


def convolution_macs(input_shape: Args, weight_shape: Args, output_shape: Args, *, transposed: bool) -> int:
    """Returns the multiply-adds of a convolution, given the shapes of its input, weight and output.

    Each output element needs as many multiply-adds as one filter has elements (``weight.shape[1:]``). A transposed
    convolution applies the filter to each input element instead.
    """
    return numel(input_shape if transposed else output_shape) * numel(weight_shape[1:])


def convolution(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    macs = convolution_macs(args[0].shape, args[1].shape, outputs[0].shape, transposed=bool(args[6]))
    return Cost(macs=macs)


def convolution_backward(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the multiply-adds of the backward pass of a convolution.

    The gradient of the input costs as much as the forward pass, and so does that of the weight. Argument 10 of the
    operator says for input, weight and bias whether the gradient is computed.
    """
    grad_output, inputs, weight = args[:3]
    macs = convolution_macs(inputs.shape, weight.shape, grad_output.shape, transposed=bool(args[7]))
    return Cost(macs=macs * sum(args[10][:2]))


# --- cost formulas of RNN, LSTM and GRU on devices that run them as one operator -----------------------------------
# On other devices they consist of matrix products, which are counted by the formulas above.


def recurrent(weights: slice, factor: int = 1) -> Formula:
    """Returns a function that computes the multiply-adds of an operator that runs a complete RNN, LSTM or GRU.

    Each time step of each sample multiplies a vector by each weight matrix once.

    Args:
        weights: positions of the weight matrices among the operator's arguments.
        factor: factor by which the forward cost is multiplied; 2 for the operator of a backward pass.
    """

    def formula(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
        matrices = args[weights] if weights.stop - weights.start > 1 else args[weights.start]
        steps = args[0].numel() // args[0].shape[-1]
        return Cost(macs=factor * steps * sum(weight.numel() for weight in matrices if weight.dim() == 2))

    return formula


# --- cost formulas of normalization, pooling, resampling and Fourier transforms --------------------------------


def batch_norm(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the cost of batch norm: a number of operations for each input element.

    In training mode these are 5 operations (4 without affine parameters), in evaluation mode 2 (1 without).
    """
    affine, training = args[1] is not None, bool(args[5])
    return Cost(other=args[0].numel() * (4 + affine if training else 1 + affine))


def normalisation(weight: int) -> Formula:
    """Returns a function that computes the cost of a normalization: 5 operations per input element, 4 without weight.

    Args:
        weight: position of the weight among the operator's arguments.
    """

    def formula(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
        affine = len(args) > weight and args[weight] is not None
        return Cost(other=args[0].numel() * (4 + affine))

    return formula


def per_input(factor: int) -> Formula:
    return lambda args, kwargs, outputs: Cost(other=factor * args[0].numel())


def per_output(factor: int) -> Formula:
    return lambda args, kwargs, outputs: Cost(other=factor * outputs[0].numel())


def mean(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    return Cost(other=args[0].numel())


def average_pool(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the cost of average pooling: one operation per output element and element of the pooling window.

    A kernel size with a single number applies to every spatial axis.
    """
    kernel = args[1] if len(args[1]) > 1 else list(args[1]) * (args[0].dim() - 2)
    return Cost(other=outputs[0].numel() * numel(kernel))


def grid_sample(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the cost of `grid_sample`: one operation per output element and input element that it is computed from.

    An output element is computed from ``n ** axes`` input elements, where n is 2 for bilinear, 4 for bicubic and 1 for
    nearest interpolation.
    """
    axes, mode = args[0].dim() - 2, args[2]
    neighbours = {0: 2, 1: 1, 2: 4}[mode]
    return Cost(other=outputs[0].numel() * neighbours**axes)


def fourier(args: Args, kwargs: Kwargs, outputs: Args) -> Cost:
    """Returns the cost of a Fourier transform of N elements: ``5 N log2 N`` operations, half as many for real data.

    Two operations are counted as one multiply-add. With ``convention="flops"``, in which a multiply-add counts as two,
    the result is therefore the number of operations.

    Source: Cooley and Tukey 1965; FFTW's convention for "mflops".
    """
    longer = max(args[0], outputs[0], key=lambda tensor: tensor.numel())
    length = numel([longer.shape[dim] for dim in args[1]])
    real = not (args[0].is_complex() and outputs[0].is_complex())
    return Cost(macs=round(2.5 * longer.numel() * math.log2(max(length, 2)) / (2 if real else 1)))


_PRODUCTS: dict[str, Formula] = {
    "mm": matrix_product(0), "bmm": matrix_product(0), "mv": matrix_product(0), "dot": matrix_product(0),
    "_sparse_mm": matrix_product(0), "_sparse_addmm": matrix_product(1), "_sparse_sparse_matmul": matrix_product(0),
    "vdot": matrix_product(0), "matmul": matrix_product(0), "_int_mm": matrix_product(0), "_scaled_mm": matrix_product(0),
    "addmm": matrix_product(1), "_addmm_activation": matrix_product(1), "baddbmm": matrix_product(1),
    "addbmm": matrix_product(1), "addmv": matrix_product(1), "linear": linear, "mkldnn_linear": linear,
    "_trilinear": trilinear, "convolution": convolution, "_convolution": convolution,
    "convolution_overrideable": convolution, "mkldnn_rnn_layer": recurrent(slice(1, 5)),
    "_cudnn_rnn": recurrent(slice(1, 2)), "miopen_rnn": recurrent(slice(1, 2)),
}  # fmt: skip
_GRADIENTS: dict[str, Formula] = {
    "convolution_backward": convolution_backward, "convolution_backward_overrideable": convolution_backward,
    "mkldnn_rnn_layer_backward": recurrent(slice(1, 5), factor=2),
}  # fmt: skip
_OTHERS: dict[str, Formula] = {
    "native_batch_norm": batch_norm, "_native_batch_norm_legit": batch_norm, "cudnn_batch_norm": batch_norm,
    "miopen_batch_norm": batch_norm, "native_group_norm": normalisation(1), "native_layer_norm": normalisation(2),
    "_fused_rms_norm": normalisation(2), "native_batch_norm_backward": per_input(10),
    "upsample_nearest2d_backward": per_input(1), "upsample_bilinear2d_backward": per_input(4),
    "upsample_bicubic2d_backward": per_input(16), "_adaptive_avg_pool2d_backward": per_output(1),
    "avg_pool2d_backward": per_output(1), "native_group_norm_backward": per_input(10), "native_layer_norm_backward": per_input(10), "mean": mean,
    "_adaptive_avg_pool2d": per_input(1), "_adaptive_avg_pool3d": per_input(1), "adaptive_avg_pool1d": per_input(1),
    "avg_pool2d": average_pool, "avg_pool3d": average_pool, "upsample_nearest1d": per_output(1),
    "upsample_nearest2d": per_output(1), "upsample_nearest3d": per_output(1), "upsample_linear1d": per_output(2),
    "upsample_bilinear2d": per_output(4), "upsample_trilinear3d": per_output(8), "upsample_bicubic2d": per_output(16),
    "_upsample_bilinear2d_aa": per_output(4), "_upsample_bicubic2d_aa": per_output(16),
    "grid_sampler_2d": grid_sample, "grid_sampler_3d": grid_sample, "_fft_r2c": fourier, "_fft_c2c": fourier,
    "_fft_c2r": fourier,
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{f"aten::{name}": Rule(formula, activates=True) for name, formula in _PRODUCTS.items()},
    **{f"aten::{name}": Rule(formula) for name, formula in {**_GRADIENTS, **_OTHERS}.items()},
    **ATTENTION_RULES,
}

#: Operators that compute nothing, but move, allocate or look up data; they cost nothing and are not reported as
#: uncounted. Operators that return views need no entry here, because torch marks them as views.
FREE = frozenset(
    f"aten::{name}"
    for name in (
        "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full",
        "zeros", "zeros_like", "zero_", "ones", "ones_like", "full", "full_like", "fill_", "arange", "linspace",
        "scalar_tensor", "eye", "clone", "copy_", "_to_copy", "contiguous", "_unsafe_view", "detach", "cat", "stack",
        "split", "unsafe_split", "chunk", "embedding", "index", "index_select", "gather", "index_put_", "index_put",
        "repeat", "constant_pad_nd", "roll", "flip", "resize_", "set_", "item", "_local_scalar_dense", "lift_fresh",
        "lift_fresh_copy", "tril", "triu", "masked_fill", "masked_fill_", "where", "select_backward", "slice_backward",
        "as_strided_", "pixel_shuffle", "pixel_unshuffle", "_reshape_copy", "randn", "rand", "randint", "normal_",
        "uniform_", "bernoulli_", "native_dropout",
    )
)  # fmt: skip
