"""Results of all ranks in the order of the dataset: pure functions on lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.dist.errors import ResultsError

_SHOWN = 10


def interleaved(parts: Sequence[Sequence[Any]], size: int) -> list[Any]:
    """Results in the order of the dataset, where the sampler dealt the indices out like cards.

    With W ranks, result i of rank r belongs to sample ``r + i * W``. Those that belong to no sample (``>= size``) were
    made from padding and are left out; nothing else is. Ranks may hold different numbers of results.

    Args:
        parts: the results of each rank.
        size: number of samples of the dataset.

    Raises:
        ResultsError: a rank of several brings more results than its share and padding, as where every rank read the whole
            dataset; results would be counted for other samples.

    Example:
        >>> interleaved([['a', 'c', 'e'], ['b', 'd', 'a']], 5)
        ['a', 'b', 'c', 'd', 'e']
    """
    step = len(parts)
    share = -(-size // step)
    for rank, part in enumerate(parts):
        if step > 1 and len(part) > share:
            raise ResultsError(
                f"rank {rank} brings {len(part)} results, but its share of {size} samples over {step} ranks is {share} with "
                "padding; give the loader a sampler that deals samples out to the ranks (DefaultSampler), one result per "
                "sample, or pass indices"
            )
    due = [len(range(rank, size, step)) for rank in range(step)]
    if all(len(part) >= number for part, number in zip(parts, due, strict=True)):
        ordered: list[Any] = [None] * size
        for rank, (part, number) in enumerate(zip(parts, due, strict=True)):
            ordered[rank::step] = part[:number]
        return ordered
    # Fewer results than samples, as where a result stands for a batch: what there is, in the same order.
    return [
        part[row]
        for row in range(max(map(len, parts)))
        for rank, part in enumerate(parts)
        if row < len(part) and rank + row * step < size
    ]


def _sample_range(size: int) -> str:
    if size > 1:
        return f"has samples 0 to {size - 1}"
    if size == 1:
        return "has one sample, number 0"
    return "is empty"


def indexed(parts: Sequence[tuple[Sequence[int], Sequence[Any]]], size: int) -> list[Any]:
    """Results in the order of the dataset, where each says which sample it belongs to.

    A sample that came several times, as padding does, counts once: the first in the order of ranks.

    Args:
        parts: for each rank the indices of its samples and their results, of equal length.
        size: number of samples of the dataset.

    Raises:
        ResultsError: an index is outside the dataset, or samples are missing.

    Example:
        >>> indexed([([0, 2], ['a', 'c']), ([1, 0], ['b', 'a'])], 3)
        ['a', 'b', 'c']
    """
    result_of: dict[int, Any] = {}
    for rank, (indices, results) in enumerate(parts):
        for index, result in zip(indices, results, strict=True):
            if not 0 <= index < size:
                raise ResultsError(f"rank {rank} has a result of sample {index}, but the dataset {_sample_range(size)}")
            result_of.setdefault(int(index), result)
    if len(result_of) != size:
        missing = [index for index in range(size) if index not in result_of]
        shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        raise ResultsError(f"{len(missing)} of {size} samples have no result on any rank: {shown}")
    return [result_of[index] for index in range(size)]
