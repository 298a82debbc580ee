"""How the weights of two checkpoints differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ._open import Tensor, open_checkpoint, tensors_in
from ._stored import in_memory
from ._summary import dtype_name

__all__ = ["Difference", "compare_checkpoints"]

Kind = Literal["only in the first", "only in the second", "shape", "dtype", "values"]


@dataclass(frozen=True)
class Difference:
    """One name under which two checkpoints hold something else.

    Args:
        name: of the tensor.
        kind: what differs.
        first: what the first one has: a shape, a type, or None.
        second: what the second one has.
        largest: largest absolute difference of the values; None where they cannot be compared.
    """

    name: str
    kind: Kind
    first: str | None = None
    second: str | None = None
    largest: float | None = None

    def __str__(self) -> str:
        if self.kind == "values":
            return f"{self.name}: values differ by up to {self.largest:.4g}"
        if self.first is None or self.second is None:
            return f"{self.name}: {self.kind} {self.first or self.second}"
        return f"{self.name}: {self.kind} {self.first} and {self.second}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare_checkpoints(first: str | Path, second: str | Path, tolerance: float = 0.0) -> list[Difference]:
    """Where the weights of two checkpoints differ, in the order of the first.

    Args:
        first: path of a checkpoint.
        second: path of another one.
        tolerance: largest absolute difference of values that counts as equal; 0 (default) asks for the same numbers.

    Raises:
        BrokenCheckpointError: one is no checkpoint, cut short or damaged.
        FileNotFoundError: one does not exist.
    """
    ours, theirs = (dict(tensors_in(open_checkpoint(path, verify=True), path)) for path in (first, second))
    differences = [_difference(name, tensor, theirs.get(name), tolerance) for name, tensor in ours.items()]
    differences += [
        Difference(name, "only in the second", second=_shape(tensor))
        for name, tensor in theirs.items()
        if name not in ours
    ]
    return [difference for difference in differences if difference is not None]


def _difference(name: str, ours: Tensor, theirs: Tensor | None, tolerance: float) -> Difference | None:
    if theirs is None:
        return Difference(name, "only in the first", first=_shape(ours))
    if ours.shape != theirs.shape:
        return Difference(name, "shape", _shape(ours), _shape(theirs))
    if ours.dtype != theirs.dtype:
        return Difference(name, "dtype", dtype_name(ours), dtype_name(theirs))
    return _difference_of_values(name, in_memory(ours), in_memory(theirs), tolerance)


def _difference_of_values(name: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> Difference | None:
    if torch.equal(ours, theirs) or ours.numel() == 0:
        return None
    both_nan = ours.isnan() & theirs.isnan()
    # NaN on one side only is a difference, whatever the tolerance.
    gap = (ours.double() - theirs.double()).abs().masked_fill(both_nan, 0.0).nan_to_num(nan=float("inf"))
    largest = float(gap.max())
    return Difference(name, "values", largest=largest) if largest > tolerance else None


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
