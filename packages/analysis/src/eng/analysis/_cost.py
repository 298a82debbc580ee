"""The cost of one call of an operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch


class Cost(NamedTuple):
    """Number of arithmetic operations of one call of an operator.

    Args:
        macs: multiply-adds; each counts as one flop in MMEngine's convention and as two flops in that of hardware
            vendors.
        other: other operations, such as the sums of a pooling; each counts as one flop.
    """

    macs: int = 0
    other: int = 0

    def flops(self, convention: str) -> int:
        return self.macs * (2 if convention == "flops" else 1) + self.other

    def times(self, factor: int) -> Cost:
        return Cost(self.macs * factor, self.other * factor)

    def plus(self, cost: Cost) -> Cost:
        return Cost(self.macs + cost.macs, self.other + cost.other)


#: A function that computes the cost of an operator's call from its arguments, keyword arguments and outputs.
Formula = Callable[[Sequence[Any], Mapping[str, Any], Sequence[Any]], Cost]


class Rule(NamedTuple):
    """How the calls of an operator are counted.

    Args:
        formula: computes the cost of a call.
        activates: whether the outputs of the operator count as activations, as those of convolutions and matrix
            products do.
    """

    formula: Formula
    activates: bool = False


def numel(shape: Sequence[int]) -> int:
    return math.prod(shape)


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Returns all tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []
