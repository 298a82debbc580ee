"""Tensors of a checkpoint that stay on the disk until a part of them is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Piece", "StoredTensor", "as_stored", "in_memory"]

BLOCK_BYTES = 1 << 21
"""Most bytes that :meth:`StoredTensor.blocks` holds in memory at once, unless one row is longer."""


@dataclass(frozen=True)
class Piece:
    """A box of a tensor's values.

    Args:
        offsets: index of its first value in each dimension of the tensor.
        sizes: its shape.
        open: gives its values, memory-mapped; called for each block anew, so that pages of the file are released.
    """

    offsets: Sequence[int]
    sizes: Sequence[int]
    open: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor on the disk, in one piece or in many.

    Args:
        shape: of the tensor.
        dtype: of its values.
        pieces: boxes that cover it.
    """

    shape: torch.Size
    dtype: torch.dtype
    pieces: Sequence[Piece]

    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the values."""
        return self.numel() * self.dtype.itemsize

    def read(self) -> torch.Tensor:
        """The tensor in memory."""
        return self._rows(0, self.shape[0] if self.shape else 1)

    def blocks(self) -> Iterator[torch.Tensor]:
        """The tensor in row-major order, as contiguous blocks of at most :data:`BLOCK_BYTES`."""
        num_rows = self.shape[0] if self.shape else 1
        if not self.numel():
            return
        rows = max(1, BLOCK_BYTES * num_rows // self.size_bytes)
        for begin in range(0, num_rows, rows):
            yield self._rows(begin, min(rows, num_rows - begin))

    def _rows(self, begin: int, count: int) -> torch.Tensor:
        """Rows of the tensor; one without dimensions has one row."""
        # Zeros, so that pieces that overlap and leave a gap give no memory of this process away.
        rows = torch.zeros((count, *self.shape[1:]) if self.shape else (), dtype=self.dtype)
        for piece in self.pieces:
            if not self.shape:
                rows.copy_(piece.open())
                continue
            first = max(begin, piece.offsets[0])
            length = min(begin + count, piece.offsets[0] + piece.sizes[0]) - first
            if length > 0:
                target = rows.narrow(0, first - begin, length)
                for dimension in range(1, len(self.shape)):
                    target = target.narrow(dimension, piece.offsets[dimension], piece.sizes[dimension])
                target.copy_(piece.open().narrow(0, first - piece.offsets[0], length))
        return rows


def as_stored(value: torch.Tensor | StoredTensor) -> StoredTensor:
    """The value as a stored tensor; one in memory is its only piece."""
    if isinstance(value, StoredTensor):
        return value
    tensor = value.detach()
    piece = Piece((0,) * tensor.dim(), tensor.shape, lambda: tensor)
    return StoredTensor(tensor.shape, tensor.dtype, (piece,))


def in_memory(value: Any) -> Any:
    """The value; a stored tensor is read."""
    return value.read() if isinstance(value, StoredTensor) else value
