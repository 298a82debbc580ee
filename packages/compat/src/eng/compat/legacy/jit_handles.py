"""Functions (handles) that compute the flops or activations of an operator from the shapes of its arguments.

An argument is a tensor, a value in a TorchScript graph, or any object with an attribute ``shape``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

Handle = Callable[[list[Any], list[Any]], Any]


def get_shape(val: Any) -> list[int] | None:
    """Returns the shape of a tensor, or of a tensor value in a TorchScript graph; None for anything else."""
    shape = getattr(val, "shape", None)
    if shape is not None:
        return list(shape)
    try:
        return list(val.type().sizes()) if val.isCompleteTensor() else None
    except (AttributeError, RuntimeError, TypeError):
        return None


def _shape(val: Any) -> list[int]:
    """Returns the shape of a value that must be a tensor.

    Raises:
        TypeError: the value is not a tensor of known shape.
    """
    shape = get_shape(val)
    if shape is None:
        raise TypeError(f"a tensor of known size was expected, got {val!r}")
    return shape


def generic_activation_jit(op_name: str | None = None) -> Handle:
    """Returns a handle: a function that counts the elements of the first output of an operator's call.

    Args:
        op_name: the handle returns a Counter with this key; with None it returns a number.
    """

    def count(inputs: list[Any], outputs: list[Any]) -> Any:
        elements = prod(_shape(outputs[0]))
        return elements if op_name is None else Counter({op_name: elements})

    return count


def addmm_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the multiply-adds of ``addmm(bias, a, b)``."""
    (batch, inner), (_, columns) = _shape(inputs[1]), _shape(inputs[2])
    return batch * inner * columns


def linear_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the multiply-adds of ``linear(x, weight)``."""
    return prod(_shape(inputs[0])) * _shape(inputs[1])[0]


def bmm_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the multiply-adds of ``bmm(a, b)``."""
    batch, rows, inner = _shape(inputs[0])
    return batch * rows * inner * _shape(inputs[1])[-1]


def matmul_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the multiply-adds of ``matmul(a, b)``: number of elements of `a` times number of columns of `b`.

    Raises:
        AssertionError: the inner dimensions differ.
    """
    left, right = (_shape(value) for value in inputs[:2])
    left = [1, *left] if len(left) == 1 else left
    right = [*right, 1] if len(right) == 1 else right
    if left[-1] != right[-2]:
        raise AssertionError(f"the inner dimensions of {left} and {right} differ")
    return prod(left) * right[-1]


def conv_flop_count(
    x_shape: Sequence[int], w_shape: Sequence[int], out_shape: Sequence[int], transposed: bool = False
) -> int:
    """Returns the multiply-adds of a convolution, given the shapes of input, weight and output."""
    positions = (x_shape if transposed else out_shape)[2:]
    return x_shape[0] * prod(w_shape) * prod(positions)


def conv_flop_jit(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Returns a Counter with the multiply-adds of ``_convolution``, transposed or not, under the key ``conv``."""
    flag = inputs[6]
    transposed = bool(flag.toIValue() if hasattr(flag, "toIValue") else flag)
    flops = conv_flop_count(_shape(inputs[0]), _shape(inputs[1]), _shape(outputs[0]), transposed)
    return Counter({"conv": flops})


def einsum_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the multiply-adds of ``einsum`` with two operands: the product of the sizes of all its indices.

    Raises:
        NotImplementedError: the equation has another number of operands.
    """
    equation = inputs[0].toIValue() if hasattr(inputs[0], "toIValue") else inputs[0]
    node = inputs[1]
    operands = node.node().inputs() if hasattr(node, "node") else node
    names = equation.replace(" ", "").split("->")[0].split(",")
    shapes = [_shape(operand) for operand in operands]
    if len(names) != 2 or len(shapes) != 2:
        raise NotImplementedError(f"einsum {equation!r} with {len(shapes)} operands")
    sizes: dict[str, int] = {}
    for indices, shape in zip(names, shapes, strict=True):
        sizes.update(zip(indices, shape, strict=True))
    return prod(sizes.values())


def norm_flop_counter(affine_arg_index: int) -> Handle:
    """Returns a handle: a function that counts 5 operations per input element of a normalization, 4 without weight.

    Args:
        affine_arg_index: position of the weight among the operator's arguments.
    """

    def count(inputs: list[Any], outputs: list[Any]) -> int:
        has_weight = get_shape(inputs[affine_arg_index]) is not None
        return prod(_shape(inputs[0])) * (5 if has_weight else 4)

    return count


def batchnorm_flop_jit(inputs: list[Any], outputs: list[Any]) -> int:
    """Returns the number of operations of ``batch_norm``.

    In evaluation mode ``batch_norm`` needs fewer operations, because mean and variance are not computed.

    Raises:
        AssertionError: the argument ``training`` is not a bool.
    """
    training = inputs[5].toIValue() if hasattr(inputs[5], "toIValue") else inputs[5]
    if not isinstance(training, bool):
        raise AssertionError("the sixth argument of aten::batch_norm must be the bool `training`")
    if training:
        return int(norm_flop_counter(1)(inputs, outputs))
    has_weight = get_shape(inputs[1]) is not None
    return prod(_shape(inputs[0])) * (2 if has_weight else 1)


def elementwise_flop_counter(input_scale: float = 1, output_scale: float = 0) -> Handle:
    """Returns a handle: a function that counts a fixed number of operations per element of an operator's tensors.

    Args:
        input_scale: operations per element of the first input.
        output_scale: operations per element of the first output.
    """

    def count(inputs: list[Any], outputs: list[Any]) -> float:
        flops: float = 0
        if input_scale != 0:
            flops += input_scale * prod(_shape(inputs[0]))
        if output_scale != 0:
            flops += output_scale * prod(_shape(outputs[0]))
        return flops

    return count
