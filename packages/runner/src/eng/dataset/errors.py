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
    """An entry of the annotation file lacks a key for which ``data_prefix`` has a folder.

    The error is an AssertionError too, because MMEngine raises an AssertionError in this case.
    """


def numbers_of(length: int) -> str:
    """Returns the end of an error message: the range of valid sample numbers in a dataset with `length` samples."""
    if not length:
        return "it is empty"
    if length == 1:
        return "it has 1 sample, number 0"
    return f"it has {length} samples, 0 to {length - 1}"


class SampleIndexError(IndexError, AssertionError):
    """A dataset has no sample with the requested number.

    The error is an AssertionError too, because the method ``get_subset`` in MMEngine raises an AssertionError.

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
        indices: numbers of the samples that were tried, in order; of more than six samples the first and last three.
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
        position: number of the dataset, from 0, whose value differs from that of the first dataset.
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
    """A subset of a dataset wrapper was requested, which wrappers do not support.

    It would be ambiguous whether the numbers of a subset count a repeated sample once or several times.
    """

    def __init__(self, owner: object) -> None:
        message = owner
        if not isinstance(owner, str):
            name = type(owner).__name__
            message = f"{name} has no subsets of its own: take get_subset() of the dataset, then wrap that in {name}"
        super().__init__(message)
