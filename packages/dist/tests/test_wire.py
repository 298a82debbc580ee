from __future__ import annotations

import pytest
import torch

from eng.dist import _wire


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int16, torch.float32, torch.complex64, torch.float16, torch.uint16]
)
def test_wire_formats_come_back(dtype: torch.dtype) -> None:
    for data in (
        torch.tensor([[1, 0], [3, 2]]).to(dtype).t(),
        torch.tensor(1).to(dtype),
        torch.empty(0, 2, dtype=dtype),
    ):
        wire = _wire.to_move(data, torch.device("cpu"))
        assert wire.is_contiguous() and torch.equal(_wire.moved_back(wire, data), data)
