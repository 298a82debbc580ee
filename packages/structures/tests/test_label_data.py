from __future__ import annotations

from typing import Any

import pytest
import torch

from eng.structures import FieldTypeError, FieldValueError, LabelData


@pytest.mark.parametrize("labels", [[], [0], [1, 3], [3, 1, 1]])
def test_conversions_are_inverse(labels: list[int]) -> None:
    hot = LabelData.label_to_onehot(torch.tensor(labels, dtype=torch.int64), 4)
    assert hot.tolist() == [int(i in labels) for i in range(4)]
    assert LabelData.onehot_to_label(hot).tolist() == sorted(set(labels))


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.uint8])
def test_onehot_of_any_type_is_read(dtype: torch.dtype) -> None:
    assert LabelData.onehot_to_label(torch.tensor([0, 1, 1]).to(dtype)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("act", "kind", "match"),
    [
        (lambda: LabelData.label_to_onehot([1], 3), FieldTypeError, "label should be a tensor, but got list"),
        (lambda: LabelData.label_to_onehot(torch.tensor(1), 3), FieldValueError, r"\(k,\), but got \(\)"),
        (lambda: LabelData.label_to_onehot(torch.tensor([1.0]), 3), FieldTypeError, "whole numbers.*float32"),
        (lambda: LabelData.label_to_onehot(torch.tensor([3]), 3), FieldValueError, r"\[0, 3\), but got \[3\]"),
        (lambda: LabelData.label_to_onehot(torch.tensor([-1]), 3), FieldValueError, r"\[-1\]"),
        (lambda: LabelData.onehot_to_label(torch.tensor([0, 2])), FieldValueError, "zeros and ones only"),
        (lambda: LabelData.onehot_to_label(torch.tensor([[0, 1]])), FieldValueError, r"\(1, 2\)"),
        (lambda: LabelData.onehot_to_label([0, 1]), FieldTypeError, "onehot should be a tensor"),
    ],
)
def test_mistakes_are_named(act: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        act()
