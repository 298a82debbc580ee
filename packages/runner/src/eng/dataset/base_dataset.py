"""BaseDataset: a dataset from an annotation file, with one copy of the annotations per machine."""

from __future__ import annotations

import copy
import functools
import logging
import operator
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset

from eng.config import Config
from eng.logging.progress import LONG_LOAD_S, open_bar

from . import _annotations, _serialize
from ._compose import Compose
from ._randomness import KeyedFetch
from .errors import AnnotationTypeError, MissingPathError, PipelineError, SampleIndexError

logger = logging.getLogger(__name__)

Self = TypeVar("Self", bound="BaseDataset")

__all__ = ["BaseDataset", "Compose", "force_full_init"]


def force_full_init(old_func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for methods of a dataset that need the annotations: the annotations are read before the first call.

    This is for datasets with ``lazy_init=True``, whose constructor has not read the annotations.

    Args:
        old_func: a method of a class with ``full_init()``.

    Raises:
        AttributeError: when the method is called, if the class has no ``full_init()``.
    """

    @functools.wraps(old_func)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(self, "_fully_initialized", False):
            if not hasattr(self, "full_init"):
                raise AttributeError(f"{type(self).__name__} needs a full_init() for {old_func.__name__}()")
            self.full_init()
            self._fully_initialized = True
        return old_func(self, *args, **kwargs)

    return wrapper


class BaseDataset(KeyedFetch, Dataset[Any]):
    """A dataset from an annotation file with ``metainfo`` and ``data_list``.

    The constructor reads metainfo, paths and pipeline. The annotations are read by the constructor too, or, with
    ``lazy_init``, when they are first needed: :meth:`parse_data_info` converts each entry, :meth:`filter_data` and
    ``indices`` select entries, and the selected ones are packed into shared memory, one copy per machine for all ranks
    and workers.

    Args:
        ann_file: path of a json, yaml or pickle file, relative to ``data_root``.
        metainfo: facts about the dataset, such as class names. Its values take precedence over the class attribute
            ``METAINFO``, whose values take precedence over the ``metainfo`` in the annotation file.
        data_root: folder or URL that relative paths start from.
        data_prefix: for each key of a sample that holds a path, the folder of the file, relative to ``data_root``.
        filter_cfg: settings for the method :meth:`filter_data` of a subclass.
        indices: a number of samples to keep (negative: from the end), or a list of sample numbers to keep.
        serialize_data: pack the annotations into shared memory; False keeps them as Python objects, once per worker.
        pipeline: transforms that turn an annotation into a sample.
        test_mode: raise an error if the pipeline returns None, instead of taking another sample.
        lazy_init: read the annotations when they are first needed.
        max_refetch: number of other samples to try if the pipeline returns None.

    Raises:
        TypeError: ``metainfo`` or a prefix has the wrong type.
        AnnotationError: the annotation file is malformed.
        FileNotFoundError: the annotation file does not exist.

    Examples:
        >>> class Squares(BaseDataset):
        ...     METAINFO = {"task": "squares"}
        ...     def load_data_list(self):
        ...         return [{"x": x, "y": x * x} for x in range(5)]
        >>> squares = Squares(pipeline=[lambda data: (data["x"], data["y"])])
        >>> len(squares), squares[3], squares.metainfo
        (5, (3, 9), {'task': 'squares'})
        >>> len(squares.get_subset([0, 4]))
        2
    """

    METAINFO: dict[str, Any] = {}  # noqa: RUF012  # subclasses set METAINFO; it is copied, never changed
    _fully_initialized: bool = False

    def __init__(
        self,
        ann_file: str | os.PathLike[str] | None = "",
        metainfo: Mapping[str, Any] | Config | None = None,
        data_root: str | os.PathLike[str] | None = "",
        data_prefix: dict[str, Any] = {"img_path": ""},  # noqa: B006  # MMEngine's default; copied, never changed
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = [],  # MMEngine's default; no code changes this list.
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.ann_file = _path_text(ann_file)
        if isinstance(metainfo, Mapping) and not isinstance(metainfo, dict):
            metainfo = dict(metainfo)  # Some mappings, such as mappingproxy, cannot be deep-copied.
        self._metainfo = self._load_metainfo(copy.deepcopy(metainfo))
        self.data_root = _path_text(data_root)
        self.data_prefix = copy.copy(data_prefix)
        self.filter_cfg = copy.deepcopy(filter_cfg)
        self._indices = indices
        self.serialize_data = serialize_data
        self.test_mode = test_mode
        self.max_refetch = max_refetch
        self.data_list: list[dict[str, Any]] = []
        self.data_bytes: Any = np.empty(0, np.uint8)
        self.data_address: Any = np.empty(0, np.int64)
        self._join_prefix()
        self.pipeline = Compose(pipeline)
        if not lazy_init:
            self.full_init()

    # -- reading the annotation file ----------------------------------------------------------------------------

    def full_init(self) -> None:
        """Reads the annotations, filters them, selects those of ``indices``, and packs them into shared memory.

        If the annotations were read before, nothing is done.
        """
        if self._fully_initialized:
            return
        self.data_list = self.load_data_list()
        self.data_list = self.filter_data()
        if self._indices is not None:
            self.data_list = self._get_unserialized_subset(self._indices)
        if self.serialize_data:
            self.data_bytes, self.data_address = self._serialize_data()
        self._fully_initialized = True

    def load_data_list(self) -> list[dict[str, Any]]:
        """Reads the annotation file, and converts each entry with :meth:`parse_data_info`.

        Returns:
            the annotations of all samples; an entry may give several samples.

        Raises:
            AnnotationError: the file is malformed.
            AnnotationTypeError: :meth:`parse_data_info` returned neither a dictionary nor a list of dictionaries.
        """
        metainfo, raw = _annotations.read(self.ann_file or "")
        for key, value in metainfo.items():
            self._metainfo.setdefault(key, value)
        parsed: list[dict[str, Any]] = []
        total = len(raw)
        bar = open_bar(f"load {type(self).__name__}", total, unit="samples", delay_seconds=LONG_LOAD_S)
        with _serialize.no_collection(), bar:
            raw.reverse()  # pop() takes entries from the end, which is cheap and frees each entry once it is parsed.
            while raw:
                info = self.parse_data_info(raw.pop())
                bar.update(total - len(raw))
                if isinstance(info, dict):
                    parsed.append(info)
                else:
                    parsed.extend(self._check_infos(info))
        return parsed

    def _check_infos(self, infos: Any) -> list[dict[str, Any]]:
        """Returns the result of ``parse_data_info`` after checking that it is a list of dictionaries."""
        if isinstance(infos, list) and all(isinstance(info, dict) for info in infos):
            return infos
        got = type(infos).__name__
        if isinstance(infos, list):
            got = "list of " + next(type(info).__name__ for info in infos if not isinstance(info, dict))
        raise AnnotationTypeError(
            self.ann_file or type(self).__name__,
            f"{type(self).__name__}.parse_data_info() must give one dict, or several in a list, got {got}",
        )

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
        """Converts an entry of ``data_list`` to the annotation of a sample, or to a list of several annotations.

        This implementation joins the paths in the entry with the folders of ``data_prefix``.

        Args:
            raw_data_info: the entry; the method may change and return it.

        Raises:
            AnnotationError: the entry lacks a key that ``data_prefix`` names.
            AnnotationTypeError: the entry is no dictionary.
        """
        if not isinstance(raw_data_info, dict):
            got = f"{type(raw_data_info).__name__}: {str(raw_data_info)[:60]!r}"
            raise AnnotationTypeError(
                self.ann_file or type(self).__name__, f"each entry of 'data_list' must be a dictionary, got {got}"
            )
        for key, prefix in self.data_prefix.items():
            if key not in raw_data_info:
                raise MissingPathError(
                    self.ann_file or type(self).__name__,
                    f"an entry of 'data_list' has no {key!r}, which data_prefix names; it has {list(raw_data_info)}",
                    key,
                )
            raw_data_info[key] = _annotations.join(prefix, raw_data_info[key])
        return raw_data_info

    def filter_data(self) -> list[dict[str, Any]]:
        """Returns the annotations that the dataset keeps.

        This implementation keeps all annotations; a subclass may override it and use ``filter_cfg``.
        """
        return self.data_list

    def _serialize_data(self) -> tuple[Any, Any]:
        """Moves the annotations from ``data_list`` into shared memory.

        Returns:
            the pickled annotations as ``(bytes,) uint8``, and the end of each pickle as ``(samples,) int64``.
        """
        return _serialize.pack(self.data_list)

    # -- metainfo and annotations of the samples ----------------------------------------------------------------

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of the facts about the dataset, such as class names."""
        return copy.deepcopy(self._metainfo)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Returns a copy of the annotation of a sample, with the sample's number as ``sample_idx``.

        Args:
            idx: number of the sample; negative numbers count from the end.

        Raises:
            SampleIndexError: the dataset has no sample with this number.
            TypeError: ``idx`` is no whole number.
        """
        length = self._length()
        try:
            index = operator.index(idx)
        except TypeError as error:
            got = f"{type(idx).__name__}: {idx!r}"
            raise TypeError(f"the number of a sample of {type(self).__name__} must be an int, got {got}") from error
        if index < 0:
            index += length
        if not 0 <= index < length:
            raise SampleIndexError(self, idx, length)
        if self.serialize_data:
            info: dict[str, Any] = _serialize.unpack(self.data_bytes, self.data_address, index)
        else:
            info = copy.deepcopy(self.data_list[index])
        info["sample_idx"] = index
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Returns the categories of a sample, by which :class:`ClassBalancedDataset` repeats samples.

        Raises:
            NotImplementedError: always, unless a subclass overrides this method.
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_cat_ids() to be balanced by classes")

    @force_full_init
    def __len__(self) -> int:
        return self._length()

    def _length(self) -> int:
        if self.serialize_data:
            return len(self.data_address)
        return len(self.data_list)

    # -- samples after the pipeline -----------------------------------------------------------------------------

    def __getitem__(self, idx: int) -> Any:
        """Returns sample `idx` after the pipeline.

        If the pipeline returns None for the sample, another sample is drawn at random, except in test mode.

        Raises:
            SampleIndexError: the dataset has no sample with this number.
            PipelineError: the pipeline returned None in test mode, or more than ``max_refetch`` times.
        """
        if not self._fully_initialized:
            warnings.warn(
                "call full_init() before samples are read, or every worker reads the annotations", stacklevel=2
            )
            self.full_init()
        data = self.prepare_data(idx)
        if data is None:
            return self._another(idx)
        return data

    def prepare_data(self, idx: int) -> Any:
        """Returns sample ``idx`` after the pipeline; None if the pipeline drops the sample."""
        return self.pipeline(self.get_data_info(idx))

    def _another(self, idx: int) -> Any:
        """Returns a random sample after the pipeline, because the pipeline returned None for sample `idx`.

        Raises:
            PipelineError: in test mode, or if the pipeline returns None for ``max_refetch`` random samples too.
        """
        if self.test_mode:
            raise PipelineError(self, f"the pipeline gave None for sample {idx}, which test_mode does not allow", [idx])
        tried = [int(idx)]
        for _ in range(self.max_refetch):
            tried.append(self._rand_another())
            data = self.prepare_data(tried[-1])
            if data is not None:
                return data
        shown = tried
        if len(tried) > 6:
            shown = [*tried[:3], *tried[-3:]]
        listed = ", ".join(map(str, shown[:3]))
        if len(tried) > 3:
            listed += " ..."
        raise PipelineError(
            self,
            f"the pipeline gave None {len(tried)} times in a row (max_refetch={self.max_refetch}), for samples "
            f"{listed}; check the pipeline and the data",
            shown,
        )

    def _rand_another(self) -> int:
        return int(np.random.randint(0, len(self)))  # noqa: NPY002  # this global generator is seeded per sample

    # -- subsets of the samples ---------------------------------------------------------------------------------

    @force_full_init
    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Reduces this dataset to a subset of its samples.

        Args:
            indices: number of samples to keep (negative: from the end), or the numbers of the samples to keep.

        Raises:
            TypeError: ``indices`` is neither a number nor a sequence of numbers.
            SampleIndexError: the dataset has no sample with one of the numbers.
        """
        if self.serialize_data:
            self.data_bytes, self.data_address = self._get_serialized_subset(indices)
        else:
            self.data_list = self._get_unserialized_subset(indices)

    @force_full_init
    def get_subset(self: Self, indices: Sequence[int] | int) -> Self:
        """Returns a new dataset with a subset of the samples; this dataset is not changed. See :meth:`get_subset_`."""
        subset = self._copy_without_annotation()
        if self.serialize_data:
            subset.data_bytes, subset.data_address = self._get_serialized_subset(indices)
        else:
            subset.data_list = copy.deepcopy(self._get_unserialized_subset(indices))
        return subset

    def _get_serialized_subset(self, indices: Sequence[int] | int) -> tuple[Any, Any]:
        return _serialize.take(self.data_bytes, self.data_address, self._positions(indices, len(self.data_address)))

    def _get_unserialized_subset(self, indices: Sequence[int] | int) -> list[dict[str, Any]]:
        return [self.data_list[index] for index in self._positions(indices, len(self.data_list))]

    def _positions(self, indices: Any, length: int) -> Sequence[int]:
        """Converts the argument of :meth:`get_subset_` to sample numbers of 0 or more.

        Args:
            indices: number of samples to keep (negative: from the end), or the numbers of the samples to keep.
            length: number of samples in the dataset.

        Raises:
            TypeError: `indices` is neither a number nor a sequence of numbers.
            SampleIndexError: the dataset has no sample with one of the numbers.
        """
        if isinstance(indices, (int, np.integer)) and not isinstance(indices, bool):
            if indices >= 0:
                return range(length)[:indices]
            return range(length)[indices:]
        if not isinstance(indices, (Sequence, np.ndarray)) or isinstance(indices, str):
            raise TypeError(f"indices must be a number or a sequence of numbers, got {type(indices).__name__}")
        for index in indices:
            if not -length <= index < length:
                raise SampleIndexError(self, index, length)
        return [int(index) % length for index in indices]

    def _copy_without_annotation(self: Self, memo: dict[int, Any] | None = None) -> Self:
        """Returns a deep copy of this dataset without its annotations."""
        if memo is None:
            memo = {}
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        for key, value in self.__dict__.items():
            if key not in ("data_list", "data_bytes", "data_address"):
                setattr(copied, key, copy.deepcopy(value, memo))
        copied.data_list = []
        copied.data_bytes = np.empty(0, np.uint8)
        copied.data_address = np.empty(0, np.int64)
        return copied

    # -- arguments of the constructor: metainfo and paths -------------------------------------------------------

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | Config | None = None) -> dict[str, Any]:
        """Merges `metainfo` into a copy of ``METAINFO``; a value that names a file is replaced by the file's lines."""
        merged = copy.deepcopy(dict(cls.METAINFO))
        if metainfo is None:
            return merged
        if not isinstance(metainfo, (Mapping, Config)):
            raise TypeError(f"metainfo should be a Mapping or a Config, but got {type(metainfo).__name__}")
        for key, value in metainfo.items():
            if isinstance(value, str):
                merged[key] = _lines_of(value)
            else:
                merged[key] = value
        return merged

    def _join_prefix(self) -> None:
        """Makes the paths of the annotation file and of ``data_prefix`` start from ``data_root``.

        Absolute paths and URLs are not changed; a prefix of None becomes ``data_root``.

        Raises:
            TypeError: a value of ``data_prefix`` is neither a string nor None.
        """
        root = self.data_root or ""
        if self.ann_file and root and not _annotations.is_absolute(self.ann_file):
            self.ann_file = _annotations.join(root, self.ann_file)
        for key, prefix in self.data_prefix.items():
            if prefix is not None and not isinstance(prefix, str):
                raise TypeError(f"data_prefix[{key!r}] must be a string or None, got {type(prefix).__name__}")
            if prefix is None:
                self.data_prefix[key] = self.data_root
            elif root and not _annotations.is_absolute(prefix):
                self.data_prefix[key] = _annotations.join(root, prefix)


def _path_text(path: str | os.PathLike[str] | None) -> str | None:
    if isinstance(path, os.PathLike):
        return os.fspath(path)
    return path


def _lines_of(value: str) -> Any:
    """Returns the lines of the file that a metainfo value names, for example a file with one class name per line.

    If there is no such file, the value itself is returned, with a warning in the log.
    """
    from eng.fileio import list_from_file

    try:
        return list_from_file(value)
    except (TypeError, OSError, ValueError):
        logger.warning("metainfo %r is not a file; it stays as it is", value)
        return value
