"""KFoldDataset: one of the k divisions of a dataset into training and validation samples."""

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
    """The training samples of a fold, or those that it holds out.

    Folds differ in size by one sample at most; each sample is held out in one fold. ``eng.dataset.KFoldDataset`` of
    training and of validation get the same arguments but ``test_mode``.

    Args:
        dataset: a dataset with a length, or the config of one.
        fold: number of the fold, from 0.
        num_splits: how many folds there are. 5 by default.
        test_mode: whether to give the samples held out. False (default) gives all others.
        seed: of the order in which samples are dealt out to the folds; None (default) keeps the dataset's order.

    Raises:
        ValueError: ``fold`` or ``num_splits`` is no whole number in its range, or the dataset has fewer samples than folds.

    Examples:
        >>> list(KFoldDataset("abcde", fold=1, num_splits=2)), list(KFoldDataset("abcde", 1, 2, test_mode=True))
        (['a', 'b', 'c'], ['d', 'e'])
    """

    def __init__(
        self, dataset: Any, fold: int = 0, num_splits: int = 5, test_mode: bool = False, seed: int | None = None
    ) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
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
        order = np.arange(size) if seed is None else np.random.default_rng(seed).permutation(size)
        folds = np.array_split(order, self.num_splits)
        chosen = folds[self.fold] if test_mode else np.concatenate([*folds[: self.fold], *folds[self.fold + 1 :]])
        self.indices = np.sort(chosen)

    @property
    def metainfo(self) -> Any:
        """The ``metainfo`` of the dataset; None where it has none."""
        return getattr(self.dataset, "metainfo", None)

    def full_init(self) -> None:
        """Does nothing: the dataset was read when the folds were made."""

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        position = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= position < len(self):
            raise SampleIndexError(self, int(index), len(self))
        return self.dataset[int(self.indices[position])]


# The name gives way to a user's own class of the same name.
DATASETS.register_fallback("KFoldDataset", KFoldDataset)
