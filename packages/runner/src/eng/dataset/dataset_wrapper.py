"""Datasets that wrap other datasets: concatenated, repeated or balanced by class."""

from __future__ import annotations

import bisect
import copy
import math
import numbers
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset as TorchConcatDataset
from torch.utils.data import Dataset

from eng.registry import DATASETS

from ._randomness import KeyedFetch
from .base_dataset import BaseDataset, force_full_init
from .errors import MetainfoMismatchError, SampleIndexError, UnsupportedSubsetError


def _dataset_of(dataset: Any, where: str) -> Any:
    if isinstance(dataset, Mapping):
        return DATASETS.build(dataset)
    if isinstance(dataset, (BaseDataset, _Wrapper)):
        return dataset
    raise TypeError(f"{where} must be a config or a BaseDataset, got {type(dataset).__name__}")


def _check_index(owner: Any, idx: int, length: int) -> int:
    """Returns the number of a sample, counted from the start; a negative `idx` counts from the end.

    Args:
        owner: the dataset, which is named in the error message.
        idx: number of the sample.
        length: number of samples in the dataset.

    Raises:
        SampleIndexError: the dataset has no sample with this number.
    """
    index = int(idx)
    if idx < 0:  # This comparison raises TypeError if `idx` is a string.
        index += length
    if not 0 <= index < length:
        raise SampleIndexError(owner, idx, length)
    return index


def _warn_late() -> None:
    warnings.warn("call full_init() before samples are read, or every worker reads the annotations", stacklevel=3)


class _Wrapper(KeyedFetch, Dataset[Any]):
    """Base class of datasets whose samples come from other datasets."""

    def __init__(self, lazy_init: bool) -> None:
        self._metainfo = self._inner()[0].metainfo
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def _inner(self) -> Sequence[Any]:
        """Returns the wrapped datasets, at least one."""

    @abstractmethod
    def _prepare(self) -> None:
        """Computes which sample of which wrapped dataset each number of this dataset stands for.

        This method is called once, after the annotations of the wrapped datasets were read.
        """

    @abstractmethod
    def _origin(self, idx: int) -> tuple[Any, int]:
        """Returns the wrapped dataset that sample ``idx`` comes from, and the sample's number in that dataset."""

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of the metainfo of the wrapped dataset; if there are several datasets, of the first one."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Reads the annotations of all wrapped datasets; does nothing if the annotations were read before."""
        if self._fully_initialized:
            return
        for dataset in self._inner():
            dataset.full_init()
        self._prepare()
        self._fully_initialized = True

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Returns the annotation of a sample; see :meth:`BaseDataset.get_data_info`."""
        dataset, index = self._origin(idx)
        info: dict[str, Any] = dataset.get_data_info(index)
        return info

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Returns the categories of a sample; see :meth:`BaseDataset.get_cat_ids`."""
        dataset, index = self._origin(idx)
        categories: list[int] = dataset.get_cat_ids(index)
        return categories

    def __getitem__(self, idx: int) -> Any:
        if not self._fully_initialized:
            _warn_late()
            self.full_init()
        dataset, index = self._origin(idx)
        return dataset[index]

    def get_subset_(self, indices: list[int] | int) -> None:
        """Raises an error, since a wrapper has no subsets: wrap a subset of the dataset instead.

        Raises:
            UnsupportedSubsetError: always.
        """
        raise UnsupportedSubsetError(self)

    def get_subset(self, indices: list[int] | int) -> BaseDataset:
        """Raises UnsupportedSubsetError, since a wrapper has no subsets; see :meth:`get_subset_`."""
        raise UnsupportedSubsetError(self)


@DATASETS.register_module()
class ConcatDataset(_Wrapper, TorchConcatDataset[Any]):
    """Concatenates datasets: the samples of the first one are followed by those of the second one, and so on.

    Args:
        datasets: datasets, or configs of datasets.
        lazy_init: read the annotations when they are first needed.
        ignore_keys: metainfo keys whose values may differ between the datasets; all others must be equal.

    Raises:
        TypeError: an entry of ``datasets`` is neither a config nor a dataset.
        MetainfoMismatchError: the datasets differ in their metainfo (a ValueError).

    Examples:
        >>> class Ones(BaseDataset):
        ...     def load_data_list(self):
        ...         return [{"x": 1}] * 3
        >>> both = ConcatDataset([Ones(), Ones()])
        >>> len(both), both[5]["sample_idx"]
        (6, 2)
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset | Mapping[str, Any]],
        lazy_init: bool = False,
        ignore_keys: str | list[str] | None = None,
    ) -> None:
        self.datasets: list[Any] = [_dataset_of(item, f"datasets[{number}]") for number, item in enumerate(datasets)]
        if not self.datasets:
            raise ValueError("ConcatDataset needs one dataset at least")
        if isinstance(ignore_keys, str):
            ignore_keys = [ignore_keys]
        self.ignore_keys = list(ignore_keys or [])
        self._check_metainfo()
        super().__init__(lazy_init)

    def _check_metainfo(self) -> None:
        """Raises MetainfoMismatchError if the datasets differ in a metainfo key that is not in ``ignore_keys``."""
        mine = self.datasets[0].metainfo
        for number, dataset in enumerate(self.datasets[1:], 1):
            theirs = dataset.metainfo
            for key in sorted((set(mine) | set(theirs)) - set(self.ignore_keys), key=str):
                first, second = mine.get(key, "nothing"), theirs.get(key, "nothing")
                if not _equal(first, second):
                    raise MetainfoMismatchError(key, number, first, second)

    def _inner(self) -> Sequence[Any]:
        return self.datasets

    def _prepare(self) -> None:
        TorchConcatDataset.__init__(self, self.datasets)

    @force_full_init
    def _get_ori_dataset_idx(self, idx: int) -> tuple[int, int]:
        """Returns the number of the dataset that a sample comes from, and the sample's number in that dataset."""
        index = _check_index(self, idx, self.cumulative_sizes[-1])
        dataset = bisect.bisect_right(self.cumulative_sizes, index)
        if dataset > 0:
            index -= self.cumulative_sizes[dataset - 1]
        return dataset, index

    def _origin(self, idx: int) -> tuple[Any, int]:
        dataset, index = self._get_ori_dataset_idx(idx)
        return self.datasets[dataset], index

    @force_full_init
    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class _OneDataset(_Wrapper):
    """Base class of wrappers that repeat or reorder the samples of a single dataset."""

    def __init__(self, dataset: BaseDataset | Mapping[str, Any], lazy_init: bool) -> None:
        self.dataset: Any = _dataset_of(dataset, "dataset")
        super().__init__(lazy_init)

    def _inner(self) -> Sequence[Any]:
        return [self.dataset]

    @abstractmethod
    def _get_ori_dataset_idx(self, idx: int) -> int:
        """Returns the number that sample ``idx`` of this wrapper has in the wrapped dataset."""

    def _origin(self, idx: int) -> tuple[Any, int]:
        return self.dataset, self._get_ori_dataset_idx(idx)


@DATASETS.register_module()
class RepeatDataset(_OneDataset):
    """Repeats a dataset several times within an epoch, so that training pauses less often between two epochs.

    Args:
        dataset: the dataset, or its config.
        times: how often each sample occurs in an epoch.
        lazy_init: read the annotations when they are first needed.

    Raises:
        TypeError: ``dataset`` is neither a config nor a dataset.
        ValueError: ``times`` is below 1.
    """

    def __init__(self, dataset: BaseDataset | Mapping[str, Any], times: int, lazy_init: bool = False) -> None:
        is_whole = isinstance(times, numbers.Real) and times % 1 == 0
        if not is_whole or times < 1:
            raise ValueError(f"times must be a whole number, 1 or more, got {times!r}")
        self.times = int(times)
        super().__init__(dataset, lazy_init)

    def _prepare(self) -> None:
        self._ori_len = len(self.dataset)

    @force_full_init
    def _get_ori_dataset_idx(self, idx: int) -> int:
        return _check_index(self, idx, self.times * self._ori_len) % self._ori_len

    @force_full_init
    def __len__(self) -> int:
        return self.times * self._ori_len


@DATASETS.register_module()
class ClassBalancedDataset(_OneDataset):
    """Repeats samples of rare categories within an epoch.

    A category ``c`` that occurs in a fraction ``f(c)`` of the samples has the factor ``r(c) = max(1, sqrt(t / f(c)))``,
    where ``t`` is `oversample_thr`. A sample occurs ``ceil(r)`` times in an epoch, where ``r`` is the largest factor of
    the sample's categories; a sample without categories occurs once.

    Args:
        dataset: the dataset, or its config; it needs ``get_cat_ids()``.
        oversample_thr: the fraction ``t`` below which a category is repeated.
        lazy_init: read the annotations when they are first needed.

    Raises:
        TypeError: ``dataset`` is neither a config nor a dataset.

    Source: repeat factor sampling of Gupta et al. 2019, arXiv:1908.03195, appendix B.2.
    """

    def __init__(
        self, dataset: BaseDataset | Mapping[str, Any], oversample_thr: float, lazy_init: bool = False
    ) -> None:
        self.oversample_thr = oversample_thr
        super().__init__(dataset, lazy_init)

    def _prepare(self) -> None:
        categories = [set(self.dataset.get_cat_ids(index)) for index in range(len(self.dataset))]
        factors = _repeat_factors(categories, self.oversample_thr)
        self.repeat_indices = [index for index, factor in enumerate(factors) for _ in range(math.ceil(factor))]

    @force_full_init
    def _get_ori_dataset_idx(self, idx: int) -> int:
        return self.repeat_indices[_check_index(self, idx, len(self.repeat_indices))]

    @force_full_init
    def __len__(self) -> int:
        return len(self.repeat_indices)


def _repeat_factors(categories: Sequence[Iterable[int]], threshold: float) -> list[float]:
    """Returns for each sample how often the sample occurs in an epoch, before rounding up.

    Args:
        categories: the categories of each sample.
        threshold: fraction of the samples below which a category is repeated; see :class:`ClassBalancedDataset`.
    """
    counts: dict[int, int] = {}
    for sample in categories:
        for category in sample:
            counts[category] = counts.get(category, 0) + 1
    total = len(categories)
    factor = {category: max(1.0, math.sqrt(threshold * total / count)) for category, count in counts.items()}
    return [max((factor[category] for category in sample), default=1.0) for sample in categories]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return bool(np.array_equal(first, second))
    return bool(first == second)
