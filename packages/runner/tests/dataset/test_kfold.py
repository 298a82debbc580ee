from __future__ import annotations

from typing import Any

import pytest

from eng.dataset import KFoldDataset


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("size", [5, 12])
def test_each_sample_is_held_out_in_one_fold(size: int, seed: int | None) -> None:
    held_out = [list(KFoldDataset(range(size), fold, 5, test_mode=True, seed=seed)) for fold in range(5)]
    assert sorted(number for fold in held_out for number in fold) == list(range(size))
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    for fold in range(5):
        training = list(KFoldDataset(range(size), fold, 5, seed=seed))
        assert sorted(training + held_out[fold]) == list(range(size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fold": 5}, "fold counts from 0 to num_splits - 1 = 4, got 5"),
        ({"fold": -1}, "KFoldDataset's fold must be a whole number, 0 or more, got -1"),
        ({"num_splits": 1}, "KFoldDataset's num_splits must be a whole number, 2 or more, got 1"),
        ({"num_splits": 11}, "cannot make 11 folds of 10 samples"),
    ],
)
def test_folds_that_do_not_exist_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KFoldDataset(range(10), **arguments)
