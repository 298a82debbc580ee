"""What users hand to an inferencer, as a list of single inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from eng.fileio import get_file_backend, isdir, join_path, list_dir_or_file


def as_list(inputs: Any) -> list[Any]:
    """Single inputs: the files of a directory, the items of a list or tuple, or the one input itself.

    Args:
        inputs: a path, a URL, an array, a tensor, or a sequence of them. A directory stands for its files, in the order of
            their names, on any storage that can list.

    Raises:
        ValueError: a directory without files, or an empty sequence.
    """
    if isinstance(inputs, Path):
        inputs = str(inputs)
    if isinstance(inputs, str) and _is_directory(inputs):
        names = sorted(list_dir_or_file(inputs, list_dir=False))
        if not names:
            raise ValueError(f"the directory {inputs!r} holds no files to run on")
        return [str(join_path(inputs, name)) for name in names]
    items = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if not items:
        raise ValueError("there are no inputs: the sequence is empty")
    return items


def _is_directory(path: str) -> bool:
    # Storages such as HTTP have no directories, and say so by lacking the ability.
    return hasattr(get_file_backend(path), "isdir") and isdir(path)


def in_chunks(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """Items in lists of `size`, the last one shorter.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, got {size}")
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
