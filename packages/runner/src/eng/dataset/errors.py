"""What can be wrong with data, said with the file, the key or the sample.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class AnnotationError(ValueError):
    """An annotation file that is not of the documented format.

    Attributes:
        file: the annotation file.
        key: the key of the file that is missing or wrong, or None when the file as a whole is.
    """

    def __init__(self, file: str, problem: str | None = None, key: str | None = None) -> None:
        super().__init__(file if problem is None else f"{file}: {problem}")
        self.file, self.key = file, key


class AnnotationTypeError(AnnotationError, TypeError):
    """An annotation file, or what was made of it, whose parts have the wrong type."""


class MissingPathError(AnnotationError, AssertionError):
    """An entry lacks the path that ``data_prefix`` names; an AssertionError too, as in MMEngine."""


def numbers_of(length: int) -> str:
    """The end of a message: which numbers the samples of a dataset of this length have."""
    if not length:
        return "it is empty"
    return "it has 1 sample, number 0" if length == 1 else f"it has {length} samples, 0 to {length - 1}"


class SampleIndexError(IndexError, AssertionError):
    """A sample number outside a dataset; an AssertionError too, as in MMEngine's subsets.

    Attributes:
        index: the number asked for.
        length: samples that the dataset has.
    """

    def __init__(self, owner: object, index: Any = None, length: int | None = None) -> None:
        text = f"sample {index} of {type(owner).__name__} does not exist: {numbers_of(length or 0)}"
        super().__init__(owner if length is None else text)
        self.index, self.length = index, length


class PipelineError(RuntimeError):
    """A pipeline that gave None for a sample that is needed, or for too many in a row.

    Attributes:
        indices: the samples that were tried, in order (the first and the last few of many).
    """

    def __init__(self, owner: object, message: str | None = None, indices: Sequence[int] = ()) -> None:
        super().__init__(owner if message is None else f"{type(owner).__name__}: {message}")
        self.indices = list(indices)


class TransformError(ValueError):
    """A sample that a transform cannot change, or an argument that a transform does not take."""


class MetainfoMismatchError(ValueError):
    """Datasets of a ConcatDataset have different meta information.

    Attributes:
        key: the metainfo key they disagree about.
        position: number of the dataset that differs from the first.
    """

    def __init__(self, key: str, position: int | None = None, first: Any = None, other: Any = None) -> None:
        super().__init__(
            key
            if position is None
            else f"datasets[{position}] and datasets[0] differ in metainfo[{key!r}]: {other!r} against {first!r}; make "
            f"them equal or pass ignore_keys=[{key!r}]"
        )
        self.key, self.position = key, position


class UnsupportedSubsetError(NotImplementedError):
    """A subset asked of a dataset wrapper, where it would be unclear whose samples are meant."""

    def __init__(self, owner: object) -> None:
        name = type(owner).__name__
        super().__init__(
            owner
            if isinstance(owner, str)
            else f"{name} has no subsets of its own: take get_subset() of the dataset, then wrap that in {name}"
        )
