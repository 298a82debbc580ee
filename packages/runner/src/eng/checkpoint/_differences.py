"""Compare the weights of two checkpoints."""

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
    """A tensor that differs between two checkpoints.

    Args:
        name: name of the tensor in the state dict.
        kind: what differs: presence, shape, dtype or values.
        first: shape or dtype of the tensor in the first checkpoint; None if only the values differ, or if the first
            checkpoint does not have the tensor.
        second: the same for the second checkpoint.
        largest: largest absolute difference of the values; None if shapes or dtypes differ.
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
        """Returns the attributes as plain values, for JSON."""
        return asdict(self)


def compare_checkpoints(first: str | Path, second: str | Path, tolerance: float = 0.0) -> list[Difference]:
    """Lists the tensors that differ between two checkpoints, in the order of the first checkpoint.

    Args:
        first: path of the first checkpoint.
        second: path of the second checkpoint.
        tolerance: largest absolute difference of values that counts as equal; 0 (default) requires equal values.

    Raises:
        BrokenCheckpointError: a file is no checkpoint, cut short or damaged.
        FileNotFoundError: a file does not exist.
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
    """Compares a tensor of the first checkpoint with that of the second; returns None if the two are equal."""
    if theirs is None:
        return Difference(name, "only in the first", first=_shape(ours))
    if ours.shape != theirs.shape:
        return Difference(name, "shape", _shape(ours), _shape(theirs))
    if ours.dtype != theirs.dtype:
        return Difference(name, "dtype", dtype_name(ours), dtype_name(theirs))
    return _difference_of_values(name, in_memory(ours), in_memory(theirs), tolerance)


def _difference_of_values(name: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> Difference | None:
    """Compares the values of two tensors of the same shape and dtype; NaN equals NaN."""
    if torch.equal(ours, theirs) or ours.numel() == 0:
        return None
    both_nan = ours.isnan() & theirs.isnan()
    gap = (ours.double() - theirs.double()).abs().masked_fill(both_nan, 0.0)
    # A value that is NaN in only one of the checkpoints counts as an infinite difference, which no tolerance hides.
    largest = float(gap.nan_to_num(nan=float("inf")).max())
    if largest <= tolerance:
        return None
    return Difference(name, "values", largest=largest)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
