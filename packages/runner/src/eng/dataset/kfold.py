"""KFoldDataset: the training or the validation samples of one fold of a k-fold cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from eng.logging.whole_numbers import whole_number
from eng.logging.words import counted
from eng.registry import DATASETS

from ._randomness import KeyedFetch
from .errors import SampleIndexError


class KFoldDataset(KeyedFetch, Dataset[Any]):
    """One fold of a k-fold cross-validation over a dataset: its training samples or its validation samples.

    Each sample is a validation sample in exactly one fold, and the numbers of validation samples of two folds differ by
    at most one. The datasets for training and for validation get the same arguments except ``test_mode``.

    Args:
        dataset: a dataset with a length, or its config.
        fold: number of the fold, from 0.
        num_splits: number of folds. Defaults to 5.
        test_mode: True selects the validation samples of the fold, False (default) its training samples, which are all
            other samples.
        seed: seed of the random assignment of samples to folds; None (default) assigns them in the dataset's order.

    Raises:
        ValueError: ``fold`` or ``num_splits`` is no integer in its range, or the dataset has fewer samples than folds.

    Examples:
        >>> list(KFoldDataset("abcde", fold=1, num_splits=2)), list(KFoldDataset("abcde", 1, 2, test_mode=True))
        (['a', 'b', 'c'], ['d', 'e'])
    """

    def __init__(
        self, dataset: Any, fold: int = 0, num_splits: int = 5, test_mode: bool = False, seed: int | None = None
    ) -> None:
        if isinstance(dataset, Mapping):
            dataset = DATASETS.build(dataset)
        self.dataset = dataset
        if hasattr(self.dataset, "full_init"):
            self.dataset.full_init()
        self.num_splits = whole_number("KFoldDataset's num_splits", num_splits, 2)
        self.fold = whole_number("KFoldDataset's fold", fold, 0)
        self.test_mode = test_mode
        if self.fold >= self.num_splits:
            raise ValueError(f"KFoldDataset's fold counts from 0 to num_splits - 1 = {num_splits - 1}, got {fold}")
        size = len(self.dataset)
        if size < self.num_splits:
            raise ValueError(
                f"KFoldDataset cannot make {num_splits} folds of {counted(size, 'sample')}: lower num_splits"
            )
        order = np.arange(size)
        if seed is not None:
            order = np.random.default_rng(seed).permutation(size)
        folds = np.array_split(order, self.num_splits)
        held_out = folds.pop(self.fold)
        if test_mode:
            self.indices = np.sort(held_out)
        else:
            self.indices = np.sort(np.concatenate(folds))

    @property
    def metainfo(self) -> Any:
        """The ``metainfo`` of the dataset; None if the dataset has none."""
        return getattr(self.dataset, "metainfo", None)

    def full_init(self) -> None:
        """Does nothing, since the constructor has read the dataset already."""

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        position = int(index)
        if index < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise SampleIndexError(self, int(index), len(self))
        return self.dataset[int(self.indices[position])]


# A fallback, so that a class with this name in a user's project takes precedence.
DATASETS.register_fallback("KFoldDataset", KFoldDataset)
