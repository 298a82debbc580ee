"""Functions on sparse tensors: layout, memory, and cost of products."""

from __future__ import annotations

import torch
from torch import Tensor


def is_sparse(tensor: Tensor) -> bool:
    """Whether a tensor has any of torch's sparse layouts."""
    return tensor.layout is not torch.strided and "sparse" in str(tensor.layout)


def bytes_of(tensor: Tensor) -> int:
    """Returns the memory of a tensor in bytes; for a sparse tensor that of its values and indices."""
    return sum(part.nbytes for part in _parts(tensor)) if is_sparse(tensor) else tensor.nbytes


def sparse_product_macs(left: Tensor, right: Tensor) -> int:
    """Returns the multiply-adds of a matrix product in which at least one matrix is sparse.

    Only stored elements are multiplied: one multiply-add for each pair of elements that are multiplied. If both
    matrices are sparse, each element in column k of `left` is multiplied by each element in row k of `right`.

    Args:
        left: (rows, inner) matrix.
        right: (inner, columns) matrix, or (inner,) vector.
    """
    if not is_sparse(right):
        columns = right.shape[-1] if right.dim() > 1 else 1
        return _stored(left) * columns
    if not is_sparse(left):
        return _stored(right) * left.shape[-2]
    inner = left.shape[1]
    left_columns, right_rows = _coordinates(left)[1], _coordinates(right)[0]
    per_column, per_row = torch.bincount(left_columns, minlength=inner), torch.bincount(right_rows, minlength=inner)
    return int((per_column * per_row).sum())


def _parts(tensor: Tensor) -> list[Tensor]:
    if tensor.layout is torch.sparse_coo:
        distinct = tensor.coalesce()
        return [distinct.indices(), distinct.values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]


def _stored(tensor: Tensor) -> int:
    return _parts(tensor)[-1].numel()


def _coordinates(tensor: Tensor) -> Tensor:
    indices: Tensor = tensor.to_sparse_coo().coalesce().indices()
    return indices
