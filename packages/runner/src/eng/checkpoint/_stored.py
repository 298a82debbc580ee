"""StoredTensor: a tensor of a checkpoint that stays on the disk until its values are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Piece", "StoredTensor", "as_stored", "in_memory"]

BLOCK_BYTES = 1 << 21
"""Largest block of :meth:`StoredTensor.blocks` in bytes, unless a single row is larger."""


@dataclass(frozen=True)
class Piece:
    """A rectangular part of a tensor on the disk, such as the part that one rank has saved.

    Args:
        offsets: index of the part's first value in each dimension of the tensor.
        sizes: shape of the part.
        open: function that returns the part as a memory-mapped tensor. It is called again for each block that is read,
            so that the memory of the blocks read before is released.
    """

    offsets: Sequence[int]
    sizes: Sequence[int]
    open: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose values are on the disk, in one or several pieces, and are read when they are needed.

    Args:
        shape: shape of the tensor.
        dtype: type of its values.
        pieces: parts that together cover the tensor.
    """

    shape: torch.Size
    dtype: torch.dtype
    pieces: Sequence[Piece]

    def numel(self) -> int:
        """Returns the number of elements of the tensor, like ``torch.Tensor.numel``."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size of the tensor's values in bytes."""
        return self.numel() * self.dtype.itemsize

    def read(self) -> torch.Tensor:
        """Reads all values from the disk, and returns them as a tensor in memory."""
        if not self.shape:
            return self._read_scalar()
        return self._read_rows(0, self.shape[0])

    def blocks(self) -> Iterator[torch.Tensor]:
        """Yields the tensor in row-major order, as contiguous blocks of at most :data:`BLOCK_BYTES`."""
        if not self.numel():
            return
        if not self.shape:
            yield self._read_scalar()
            return
        num_rows = self.shape[0]
        rows = max(1, BLOCK_BYTES * num_rows // self.size_bytes)
        for begin in range(0, num_rows, rows):
            yield self._read_rows(begin, min(rows, num_rows - begin))

    def _read_scalar(self) -> torch.Tensor:
        value = torch.zeros((), dtype=self.dtype)
        for piece in self.pieces:
            value.copy_(piece.open())
        return value

    def _read_rows(self, begin: int, count: int) -> torch.Tensor:
        """Reads the rows `begin` to ``begin + count - 1`` (indices of the tensor's first dimension) from the disk."""
        # In a damaged file the pieces may not cover the tensor. Values that no piece covers are 0 instead of the former
        # content of the memory, which could be private data of this process.
        rows = torch.zeros((count, *self.shape[1:]), dtype=self.dtype)
        for piece in self.pieces:
            first = max(begin, piece.offsets[0])
            length = min(begin + count, piece.offsets[0] + piece.sizes[0]) - first
            if length > 0:
                target = rows.narrow(0, first - begin, length)
                for dimension in range(1, len(self.shape)):
                    target = target.narrow(dimension, piece.offsets[dimension], piece.sizes[dimension])
                target.copy_(piece.open().narrow(0, first - piece.offsets[0], length))
        return rows


def as_stored(value: torch.Tensor | StoredTensor) -> StoredTensor:
    """Returns a value as a stored tensor; a tensor in memory becomes a stored tensor with a single piece."""
    if isinstance(value, StoredTensor):
        return value
    tensor = value.detach()
    piece = Piece((0,) * tensor.dim(), tensor.shape, lambda: tensor)
    return StoredTensor(tensor.shape, tensor.dtype, (piece,))


def in_memory(value: Any) -> Any:
    """Reads a stored tensor into memory; returns any other value as it is."""
    if isinstance(value, StoredTensor):
        return value.read()
    return value
