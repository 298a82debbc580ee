"""Loaders that give a part of their batches: for fast runs, and for a model that is to learn a few batches by heart."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

from eng.dataset._loader_parts import batch_size_of, dataset_of
from eng.dataset._randomness import kept_generators
from eng.dataset.utils import length_of, set_epoch
from eng.logging.whole_numbers import whole_number


class LimitedLoader:
    """The first batches of each pass over a loader; everything else is as the loader has it.

    Args:
        loader: gives the batches.
        count: how many batches of a pass to give, on each rank.
    """

    def __init__(self, loader: Any, count: int) -> None:
        self.loader, self.count = loader, count

    def __getattr__(self, name: str) -> Any:
        if name == "loader" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(iter(self.loader), self.count)

    def __len__(self) -> int:
        return min(len(self.loader), self.count)


class RepeatedBatches:
    """The same first batches in each pass, which are read once and stay in memory.

    Args:
        loader: gives the batches.
        count: how many batches to give, on each rank.
    """

    def __init__(self, loader: Any, count: int) -> None:
        self.dataset = dataset_of(loader)
        self.batch_size = batch_size_of(loader)
        set_epoch(loader, 0)
        with kept_generators():
            self._batches = list(itertools.islice(iter(loader), count))

    def __iter__(self) -> Iterator[Any]:
        return map(copy.deepcopy, self._batches)  # a model may change what it gets

    def __getitem__(self, index: int) -> Any:
        return copy.deepcopy(self._batches[index])

    def __len__(self) -> int:
        return len(self._batches)


def is_part_of_loader(loader: object) -> bool:
    """Whether a loader of :func:`with_limit` gives a part of another loader's batches."""
    return isinstance(loader, (LimitedLoader, RepeatedBatches))


def unlimited(loader: object) -> Any:
    """The loader of which a :class:`LimitedLoader` gives the first batches; every other loader as it is."""
    if isinstance(loader, LimitedLoader):
        return loader.loader
    return loader


def with_limit(loader: object, limit_batches: int | None, overfit_batches: int | None = None) -> Any:
    """``loader``, or a part of it.

    Args:
        loader: a dataloader.
        limit_batches: batches of a pass to give; None gives all.
        overfit_batches: batches to give again in each pass; None reads the data.

    Raises:
        ValueError: a number is not a positive whole one, or both are given.
    """
    if overfit_batches is not None and limit_batches is not None:
        raise ValueError("give limit_batches or overfit_batches, not both: the second one is a limit too")
    if overfit_batches is not None:
        return RepeatedBatches(loader, whole_number("overfit_batches", overfit_batches, 1))
    if limit_batches is None:
        return loader
    count = whole_number("limit_batches", limit_batches, 1)
    length = length_of(loader)
    if length is not None and length <= count:
        return loader
    return LimitedLoader(loader, count)
