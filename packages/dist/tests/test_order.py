"""Results of ranks in the order of the dataset."""

from __future__ import annotations

import pytest

from eng.dist._order import interleaved
from eng.dist.errors import ResultsError


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_padding_is_left_out(ranks: int, size: int) -> None:
    padded = -(-size // ranks) * ranks
    parts = [[index % size for index in range(rank, padded, ranks)] for rank in range(ranks)]
    assert interleaved(parts, size) == list(range(size))


@pytest.mark.parametrize(("ranks", "size"), [(2, 7), (4, 5), (3, 100)])
def test_ranks_that_read_the_whole_dataset_are_refused(ranks: int, size: int) -> None:
    with pytest.raises(
        ResultsError, match=rf"rank 0 brings {size} results, but its share of {size} samples over {ranks} "
    ):
        interleaved([list(range(size))] * ranks, size)


def test_one_rank_may_bring_more_than_there_are_samples() -> None:
    assert interleaved([["a", "b", "a"]], 2) == ["a", "b"]
