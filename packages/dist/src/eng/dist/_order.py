"""Sorts the results of all ranks into the order of the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.dist.errors import ResultsError

_SHOWN = 10


def interleaved(parts: Sequence[Sequence[Any]], size: int) -> list[Any]:
    """Merges the results of all ranks in the order of the dataset, for a sampler that deals samples out in turn.

    With W ranks, result i of rank r belongs to sample ``r + i * W``. Results for samples ``>= size`` come from samples
    that the sampler repeated as padding, and are dropped. Ranks may have different numbers of results.

    Args:
        parts: the results of each rank.
        size: number of samples in the dataset.

    Raises:
        ResultsError: one of several ranks has more results than its share, for example because every rank read the
            complete dataset; results would be assigned to wrong samples.

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
    # There are fewer results than samples, for example one result per batch instead of one per sample. All results are
    # returned: the first result of every rank, then the second result of every rank, and so on.
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
    """Merges the results of all ranks in the order of the dataset, given the index of the sample of each result.

    If several ranks have a result of the same sample, for example because the sampler repeated samples as padding,
    the result of the lowest rank is used.

    Args:
        parts: for each rank, the indices of its samples and the result of each of these samples.
        size: number of samples in the dataset.

    Raises:
        ResultsError: an index is outside the dataset, or samples have no result.

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
