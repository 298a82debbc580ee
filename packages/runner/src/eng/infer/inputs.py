"""Convert the inputs of an inferencer to a list of single inputs, and split the list into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from eng.fileio import get_file_backend, isdir, join_path, list_dir_or_file


def as_list(inputs: Any) -> list[Any]:
    """Converts the argument of an inferencer's call to a list of inputs.

    Args:
        inputs: a path, a URL, an array, a tensor, or a list or tuple of these. A directory, in any storage that can
            list directories, gives its files in the order of their names.

    Raises:
        ValueError: the directory has no files, or the sequence is empty.
    """
    if isinstance(inputs, Path):
        inputs = str(inputs)
    if isinstance(inputs, str) and _is_directory(inputs):
        names = sorted(list_dir_or_file(inputs, list_dir=False))
        if not names:
            raise ValueError(f"the directory {inputs!r} holds no files to run on")
        return [str(join_path(inputs, name)) for name in names]
    if not isinstance(inputs, (list, tuple)):
        return [inputs]
    items = list(inputs)
    if not items:
        raise ValueError("there are no inputs: the sequence is empty")
    return items


def _is_directory(path: str) -> bool:
    # The backend of a storage without directories, such as HTTP, has no method isdir; its paths are no directories.
    return hasattr(get_file_backend(path), "isdir") and isdir(path)


def in_chunks(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """Splits items into lists of `size` items, and yields the lists; the last list may be shorter.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, got {size}")
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
