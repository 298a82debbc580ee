"""Exceptions of datasets and transforms; their messages name the file, the key or the sample.

Each class can be constructed from its message alone, because pickle, copy and torch's worker processes rebuild an
exception from its message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class AnnotationError(ValueError):
    """An annotation file does not have the documented structure.

    Attributes:
        file: name of the annotation file.
        key: the key in the file that is missing or wrong; None if the problem is not a single key.
    """

    def __init__(self, file: str, problem: str | None = None, key: str | None = None) -> None:
        message = file
        if problem is not None:
            message = f"{file}: {problem}"
        super().__init__(message)
        self.file = file
        self.key = key


class AnnotationTypeError(AnnotationError, TypeError):
    """An annotation file, a value in it, or the result of ``parse_data_info`` has the wrong type."""


class MissingPathError(AnnotationError, AssertionError):
    """An entry of the annotation file lacks the path that ``data_prefix`` names; as in MMEngine an AssertionError."""


def numbers_of(length: int) -> str:
    """Returns the end of an error message that says which sample numbers a dataset of this length has."""
    if not length:
        return "it is empty"
    if length == 1:
        return "it has 1 sample, number 0"
    return f"it has {length} samples, 0 to {length - 1}"


class SampleIndexError(IndexError, AssertionError):
    """A dataset has no sample with this number; an AssertionError too, since MMEngine's subsets raise that.

    Attributes:
        index: the requested sample number.
        length: number of samples in the dataset.
    """

    def __init__(self, owner: object, index: Any = None, length: int | None = None) -> None:
        message = owner
        if length is not None:
            message = f"sample {index} of {type(owner).__name__} does not exist: {numbers_of(length)}"
        super().__init__(message)
        self.index = index
        self.length = length


class PipelineError(RuntimeError):
    """A pipeline returned None for a sample in test mode, or for too many samples in a row.

    Attributes:
        indices: numbers of the samples that were tried, in order; of many samples only the first and the last few.
    """

    def __init__(self, owner: object, message: str | None = None, indices: Sequence[int] = ()) -> None:
        text = owner
        if message is not None:
            text = f"{type(owner).__name__}: {message}"
        super().__init__(text)
        self.indices = list(indices)


class TransformError(ValueError):
    """A transform cannot process a sample, or got an invalid argument."""


class MetainfoMismatchError(ValueError):
    """Datasets of a ConcatDataset have different metainfo.

    Attributes:
        key: the metainfo key whose values differ.
        position: number of the dataset that differs from the first one.
    """

    def __init__(self, key: str, position: int | None = None, first: Any = None, other: Any = None) -> None:
        message = key
        if position is not None:
            message = (
                f"datasets[{position}] and datasets[0] differ in metainfo[{key!r}]: {other!r} against {first!r}; make "
                f"them equal or pass ignore_keys=[{key!r}]"
            )
        super().__init__(message)
        self.key = key
        self.position = position


class UnsupportedSubsetError(NotImplementedError):
    """A dataset wrapper has no subsets, since it is ambiguous whether a number counts repeated samples."""

    def __init__(self, owner: object) -> None:
        message = owner
        if not isinstance(owner, str):
            name = type(owner).__name__
            message = f"{name} has no subsets of its own: take get_subset() of the dataset, then wrap that in {name}"
        super().__init__(message)
