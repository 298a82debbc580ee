from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from structures_parts import numbers_in, sample

from eng.structures import FieldTypeError, FieldValueError, MissingFieldError

INDICES: dict[str, Any] = {
    "number": 1,
    "negative": -1,
    "numpy number": np.int64(2),
    "slice": slice(0, 2),
    "reversed bounds": slice(2, 1),
    "list": [2, 0, 0],
    "negative list": [-1, 0],
    "empty list": [],
    "bool list": [True, False, True],
    "long tensor": torch.tensor([1, 1]),
    "int tensor": torch.tensor([-3], dtype=torch.int32),
    "empty tensor": torch.tensor([], dtype=torch.int64),
    "bool tensor": torch.tensor([False, True, True]),
    "nothing chosen": torch.zeros(3, dtype=torch.bool),
    "array": np.array([2, 1]),
    "bool array": np.array([True, False, False]),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_rows_are_taken_from_every_kind_of_field(index: Any) -> None:
    chosen = np.array(index, dtype=int) if isinstance(index, list) and not index else index
    wanted = np.atleast_1d(np.arange(3)[chosen])  # numpy's own answer
    taken = sample()[index]
    assert numbers_in(taken) == [[int(each) for each in wanted]] * 7
    assert len(taken) == len(wanted) and taken.metainfo == {"shape": [1, 2]} and taken.keys() == sample().keys()
    assert isinstance(taken.pair, tuple) and isinstance(taken.text, str)


@pytest.mark.parametrize(
    ("index", "kind", "match"),
    [
        (3, IndexError, "row 3 is outside the 3 rows"),
        (-4, IndexError, "row -4"),
        ([0, 5], IndexError, "row 5 is outside the 3 rows"),
        ([-9], IndexError, "row -9"),
        (torch.tensor([True]), FieldValueError, "one truth value per row, but got 1 for 3"),
        (torch.tensor([[0]]), FieldValueError, r"first dimension.*\(1, 1\)"),
        (torch.tensor(1), FieldValueError, "first dimension"),
        (torch.tensor([0.5]), FieldTypeError, "float32"),
        (1.5, FieldTypeError, "got float"),
        ((0, 1), FieldTypeError, "got tuple"),
        (None, FieldTypeError, "got NoneType"),
        (True, FieldTypeError, "got bool"),
        (["a"], FieldTypeError, "a"),
        ("boxs", MissingFieldError, "did you mean 'boxes'"),
    ],
)
def test_wrong_index_is_named(index: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        sample()[index]
