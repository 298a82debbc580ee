"""BaseDataset: annotations in, samples out, one copy of the index per machine."""

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
    """Makes a method of a dataset read the annotations first, where that has not been done.

    Args:
        old_func: a method of a class with ``full_init()``.

    Raises:
        AttributeError: at the call, when the class has no ``full_init()``.
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

    Reading goes: metainfo, paths, pipeline; then (at once, or at the first use with ``lazy_init``) the annotations,
    each through :meth:`parse_data_info`, :meth:`filter_data`, ``indices``, and packing into shared memory, of which a
    machine holds one copy for all ranks and workers.

    Args:
        ann_file: json, yaml or pickle file; relative to ``data_root``.
        metainfo: goes before ``METAINFO`` of the class, which goes before the file's.
        data_root: folder or URL for relative paths.
        data_prefix: for each key of a sample that holds a path, the folder it is in, relative to ``data_root``.
        filter_cfg: what a subclass' :meth:`filter_data` shall drop.
        indices: keep the first (or, negative, last) so many samples, or the ones listed.
        serialize_data: pack the samples; False keeps them as Python objects, once per worker.
        pipeline: transforms that make a sample of its annotation.
        test_mode: a pipeline may not drop a sample.
        lazy_init: read the annotations when they are first needed.
        max_refetch: other samples to try when the pipeline gives None.

    Raises:
        TypeError: a ``metainfo`` or a prefix of the wrong type.
        AnnotationError: the annotation file is malformed.
        FileNotFoundError: there is no such file.

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

    METAINFO: dict[str, Any] = {}  # noqa: RUF012  # subclasses set it; it is copied, never changed
    _fully_initialized: bool = False

    def __init__(
        self,
        ann_file: str | os.PathLike[str] | None = "",
        metainfo: Mapping[str, Any] | Config | None = None,
        data_root: str | os.PathLike[str] | None = "",
        data_prefix: dict[str, Any] = {"img_path": ""},  # noqa: B006  # the reference's default; copied, never changed
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = [],  # as data_prefix
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.ann_file = os.fspath(ann_file) if isinstance(ann_file, os.PathLike) else ann_file
        if isinstance(metainfo, Mapping) and not isinstance(metainfo, dict):
            metainfo = dict(metainfo)  # some mappings, such as a view of one, cannot be copied
        self._metainfo = self._load_metainfo(copy.deepcopy(metainfo))
        self.data_root = os.fspath(data_root) if isinstance(data_root, os.PathLike) else data_root
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

    # -- reading ------------------------------------------------------------------------------------------------

    def full_init(self) -> None:
        """Reads, filters, selects and packs the annotations; does nothing the second time."""
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
        """The samples' annotations, from the annotation file.

        Returns:
            What :meth:`parse_data_info` made of each entry, lists joined.

        Raises:
            AnnotationError: the file is malformed.
            AnnotationTypeError: :meth:`parse_data_info` gave neither a dictionary nor a list of them.
        """
        metainfo, raw = _annotations.read(self.ann_file or "")
        for key, value in metainfo.items():
            self._metainfo.setdefault(key, value)
        parsed: list[dict[str, Any]] = []
        total = len(raw)
        bar = open_bar(f"load {type(self).__name__}", total, unit="samples", delay_seconds=LONG_LOAD_S)
        with _serialize.no_collection(), bar:
            raw.reverse()  # taken from the end, each entry goes as soon as it is parsed
            while raw:
                info = self.parse_data_info(raw.pop())
                bar.update(total - len(raw))
                if isinstance(info, dict):
                    parsed.append(info)
                else:
                    parsed.extend(self._checked_infos(info))
        return parsed

    def _checked_infos(self, infos: Any) -> list[dict[str, Any]]:
        """The annotations that ``parse_data_info`` returned, if they are a list of dicts."""
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
        """One sample, or a list of samples, of one entry of ``data_list``; the prefixes are put before the paths.

        Args:
            raw_data_info: the entry; it may be changed and given back.

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
        """The annotations to keep; all of them unless a subclass drops some by ``filter_cfg``."""
        return self.data_list

    def _serialize_data(self) -> tuple[Any, Any]:
        """``data_list``, which is emptied, as ``(bytes,) uint8`` and the ends ``(samples,) int64`` of its records."""
        return _serialize.pack(self.data_list)

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of what is known about the dataset as a whole."""
        return copy.deepcopy(self._metainfo)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The annotation of a sample, a new object, with ``sample_idx`` added.

        Args:
            idx: number of the sample; negative ones count from the end.

        Raises:
            SampleIndexError: there is no such sample.
            TypeError: ``idx`` is no whole number.
        """
        length = self._length()
        try:
            index = operator.index(idx)
        except TypeError as error:
            got = f"{type(idx).__name__}: {idx!r}"
            raise TypeError(f"the number of a sample of {type(self).__name__} must be an int, got {got}") from error
        index = index if index >= 0 else length + index
        if not 0 <= index < length:
            raise SampleIndexError(self, idx, length)
        if self.serialize_data:
            info: dict[str, Any] = _serialize.unpack(self.data_bytes, self.data_address, index)
        else:
            info = copy.deepcopy(self.data_list[index])
        info["sample_idx"] = index
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """The categories of a sample, for :class:`ClassBalancedDataset`; a subclass says which.

        Raises:
            NotImplementedError: the subclass does not.
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_cat_ids() to be balanced by classes")

    @force_full_init
    def __len__(self) -> int:
        return self._length()

    def _length(self) -> int:
        return len(self.data_address) if self.serialize_data else len(self.data_list)

    # -- samples ------------------------------------------------------------------------------------------------

    def __getitem__(self, idx: int) -> Any:
        """A sample, through the pipeline; where that gives None in training, another sample at random.

        Raises:
            SampleIndexError: there is no such sample.
            PipelineError: the pipeline gave None in test mode, or more than ``max_refetch`` times.
        """
        if not self._fully_initialized:
            warnings.warn(
                "call full_init() before samples are read, or every worker reads the annotations", stacklevel=2
            )
            self.full_init()
        data = self.prepare_data(idx)
        return data if data is not None else self._another(idx)

    def prepare_data(self, idx: int) -> Any:
        """Sample ``idx`` through the pipeline, or None."""
        return self.pipeline(self.get_data_info(idx))

    def _another(self, idx: int) -> Any:
        """A random other sample, as the pipeline gave None for sample `idx`."""
        if self.test_mode:
            raise PipelineError(self, f"the pipeline gave None for sample {idx}, which test_mode does not allow", [idx])
        tried = [int(idx)]
        for _ in range(self.max_refetch):
            tried.append(self._rand_another())
            data = self.prepare_data(tried[-1])
            if data is not None:
                return data
        shown = tried if len(tried) <= 6 else [*tried[:3], *tried[-3:]]
        raise PipelineError(
            self,
            f"the pipeline gave None {len(tried)} times in a row (max_refetch={self.max_refetch}), for samples "
            f"{', '.join(map(str, shown[:3]))}{' ...' if len(tried) > 3 else ''}; check the pipeline and the data",
            shown,
        )

    def _rand_another(self) -> int:
        return int(np.random.randint(0, len(self)))  # noqa: NPY002  # the generator that per-sample seeding reaches

    # -- subsets ------------------------------------------------------------------------------------------------

    @force_full_init
    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keeps some samples only, in this dataset.

        Args:
            indices: the first (negative: last) so many, or their numbers.

        Raises:
            TypeError: ``indices`` is neither.
            SampleIndexError: a number that is not there.
        """
        if self.serialize_data:
            self.data_bytes, self.data_address = self._get_serialized_subset(indices)
        else:
            self.data_list = self._get_unserialized_subset(indices)

    @force_full_init
    def get_subset(self: Self, indices: Sequence[int] | int) -> Self:
        """A dataset of some of the samples; this one stays as it is. See :meth:`get_subset_`."""
        subset = self._copy_without_annotation()
        if self.serialize_data:
            subset.data_bytes, subset.data_address = self._get_serialized_subset(indices)
        else:
            subset.data_list = copy.deepcopy(self._get_unserialized_subset(indices))
        return subset

    def _get_serialized_subset(self, indices: Sequence[int] | int) -> tuple[Any, Any]:
        return _serialize.take(self.data_bytes, self.data_address, self._places(indices, len(self.data_address)))

    def _get_unserialized_subset(self, indices: Sequence[int] | int) -> list[dict[str, Any]]:
        return [self.data_list[index] for index in self._places(indices, len(self.data_list))]

    def _places(self, indices: Any, length: int) -> Sequence[int]:
        if isinstance(indices, (int, np.integer)) and not isinstance(indices, bool):
            return range(length)[:indices] if indices >= 0 else range(length)[indices:]
        if not isinstance(indices, (Sequence, np.ndarray)) or isinstance(indices, str):
            raise TypeError(f"indices must be a number or a sequence of numbers, got {type(indices).__name__}")
        for index in indices:
            if not -length <= index < length:
                raise SampleIndexError(self, index, length)
        return [int(index) % length for index in indices]

    def _copy_without_annotation(self: Self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy of everything but the samples."""
        memo = {} if memo is None else memo
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        for key, value in self.__dict__.items():
            if key not in ("data_list", "data_bytes", "data_address"):
                setattr(copied, key, copy.deepcopy(value, memo))
        copied.data_list = []
        copied.data_bytes, copied.data_address = np.empty(0, np.uint8), np.empty(0, np.int64)
        return copied

    # -- metainfo and paths -------------------------------------------------------------------------------------

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | Config | None = None) -> dict[str, Any]:
        merged = copy.deepcopy(dict(cls.METAINFO))
        if metainfo is None:
            return merged
        if not isinstance(metainfo, (Mapping, Config)):
            raise TypeError(f"metainfo should be a Mapping or a Config, but got {type(metainfo).__name__}")
        for key, value in metainfo.items():
            merged[key] = _lines_of(value) if isinstance(value, str) else value
        return merged

    def _join_prefix(self) -> None:
        """Puts ``data_root`` in front of the relative paths of the annotation file and of ``data_prefix``."""
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


def _lines_of(value: str) -> Any:
    """The lines of a file that a metainfo value names (a list of classes, say), else the value."""
    from eng.fileio import list_from_file

    try:
        return list_from_file(value)
    except (TypeError, OSError, ValueError):
        logger.warning("metainfo %r is not a file; it stays as it is", value)
        return value
