"""What one call of an operator costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch


class Cost(NamedTuple):
    """Arithmetic of one call.

    Args:
        macs: multiply-adds, which are one flop each by the manual's convention and two by hardware vendors'.
        other: operations that are no multiply-adds (sums of a pooling, steps of a normalisation); one flop each.
    """

    macs: int = 0
    other: int = 0

    def flops(self, convention: str) -> int:
        return self.macs * (2 if convention == "flops" else 1) + self.other

    def times(self, factor: int) -> Cost:
        return Cost(self.macs * factor, self.other * factor)

    def plus(self, cost: Cost) -> Cost:
        return Cost(self.macs + cost.macs, self.other + cost.other)


#: Arguments, keyword arguments and outputs of the call -> its cost.
Formula = Callable[[Sequence[Any], Mapping[str, Any], Sequence[Any]], Cost]


class Rule(NamedTuple):
    """How an operator counts.

    Args:
        formula: its cost.
        activates: whether its outputs count as activations (convolutions and matrix products do).
    """

    formula: Formula
    activates: bool = False


def numel(shape: Sequence[int]) -> int:
    return math.prod(shape)


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []
