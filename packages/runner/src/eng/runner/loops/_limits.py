"""Dataloaders that yield only some batches: ``limit_batches`` for fast runs, ``overfit_batches`` to overfit on them."""

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
    """Yields only the first batches of each pass over a dataloader; attributes are read from that dataloader.

    Args:
        loader: the dataloader.
        count: number of batches in each pass, on each rank.
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
    """Yields the same batches in each pass: the first ones of a dataloader, which are read once and stay in memory.

    Args:
        loader: the dataloader.
        count: number of batches in each pass, on each rank.
    """

    def __init__(self, loader: Any, count: int) -> None:
        self.dataset = dataset_of(loader)
        self.batch_size = batch_size_of(loader)
        set_epoch(loader, 0)
        with kept_generators():
            self._batches = list(itertools.islice(iter(loader), count))

    def __iter__(self) -> Iterator[Any]:
        return map(copy.deepcopy, self._batches)  # Copies, because a model may change its batch in place.

    def __getitem__(self, index: int) -> Any:
        return copy.deepcopy(self._batches[index])

    def __len__(self) -> int:
        return len(self._batches)


def is_part_of_loader(loader: object) -> bool:
    """Whether a dataloader yields only some batches, because of ``limit_batches`` or ``overfit_batches``."""
    return isinstance(loader, (LimitedLoader, RepeatedBatches))


def unlimited(loader: object) -> Any:
    """Returns the dataloader inside a :class:`LimitedLoader`; returns every other dataloader unchanged."""
    if isinstance(loader, LimitedLoader):
        return loader.loader
    return loader


def with_limit(loader: object, limit_batches: int | None, overfit_batches: int | None = None) -> Any:
    """Limits a dataloader to some of its batches; without a limit, the dataloader is returned unchanged.

    Args:
        loader: a dataloader.
        limit_batches: largest number of batches in each pass; None does not limit them.
        overfit_batches: number of first batches of the dataloader of which every pass consists; None does not limit
            them.

    Raises:
        ValueError: a number is no positive integer, or both numbers are set.
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
