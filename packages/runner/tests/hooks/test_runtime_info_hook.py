from __future__ import annotations

import pytest
import torch

from eng.hooks.runtime_info_hook import is_scalar


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (torch.ones(1), True), (torch.ones(2), False), ("x", False), ([1], False)],
    ids=str,
)
def test_what_is_one_number(value, expected) -> None:
    assert is_scalar(value) is expected
