from __future__ import annotations

import torch

from eng.compat.utils import dl_utils


def test_meshgrid_is_indexed_by_row_and_column() -> None:
    rows, columns = dl_utils.torch_meshgrid(torch.arange(2), torch.arange(3))
    assert (rows[1, 2], columns[1, 2]) == (1, 2)
