"""Collects the data of a library's object that can be compared: tables, arrays, and files whose paths it stores."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.dataset import BaseDataset
from eng.dataset.utils import length_of

from .code import INSTALLED, file_of_module

__all__ = ["TEMPORARY", "attributes_of", "is_of_library", "library_content", "length_or_none", "spread_bytes"]

TEMPORARY = str(Path(tempfile.gettempdir()) / "tmp")
"""Beginning of the paths of temporary files and folders."""
_DEPTH = 6
_MOST_OBJECTS = 2000
_MOST_ITEMS = 256
_MOST_BYTES = 2**22
# Datasets and transforms of these packages store settings in their attributes, so that their objects are treated like a
# user's objects: all attributes enter a fingerprint.
_OF_SETTINGS = frozenset({"eng", "torch", "torchvision", "numpy", "builtins", "__main__"})
# Digests in the names of cached files. They are removed from the names, because they may differ in each process.
_DIGEST = re.compile(r"[0-9a-f]{12,}")


def is_of_library(cls: type) -> bool:
    """Whether a class, or a base class of it, comes from an installed package or from the standard library.

    Attributes of objects of such classes are not only settings of the user, but also counters and caches. A class that
    derives from eng's BaseDataset does not count as a library's class, because its attributes are settings.
    """
    if issubclass(cls, BaseDataset):
        return False
    return _top(cls) in sys.stdlib_module_names or any(map(_is_installed, cls.__mro__))


def _top(cls: type) -> str:
    """Returns the top-level package of a class; empty for packages whose objects are treated like a user's objects."""
    name = cls.__module__.partition(".")[0]
    if name in _OF_SETTINGS:
        return ""
    return name


def _is_installed(cls: type) -> bool:
    """Whether the source file of a class is in site-packages, and the class not in a package of ``_OF_SETTINGS``."""
    if not _top(cls):
        return False
    file = file_of_module(cls.__module__) or ""
    return _top(cls) not in sys.stdlib_module_names and INSTALLED.search(file) is not None


def library_content(value: object, unknown: set[str]) -> list[bytes]:
    """Returns the bytes that a library's object adds to a fingerprint.

    The bytes are the same in each process that reads the same data. Attributes of the object may be counters, caches
    and random numbers; therefore only tables, existing files and, for an object with a length, arrays are used.

    Args:
        value: the object.
        unknown: set of class names. The name of the object's class is added if the object yields samples, but has no
            table, file or array that could be compared.
    """
    length = length_or_none(value)
    parts = sorted(set(_contents(value, _DEPTH, {}, has_length=length is not None)))
    if not parts and (isinstance(value, Iterable) or hasattr(value, "__getitem__")):
        unknown.add(type(value).__qualname__)
    return [str(length).encode(), *parts]


def _contents(value: object, depth: int, seen: dict[int, Any], *, has_length: bool) -> Iterator[bytes]:
    """Yields bytes for the files, the tables and, if `has_length` is set, the arrays inside a library's object.

    Args:
        value: the object, or a value nested inside the object.
        depth: number of nesting levels to descend.
        seen: objects visited so far, by id; at most 2000 objects are visited.
        has_length: whether the object has a length, as a dataset has; its arrays then hold data.
    """
    if isinstance(value, (str, Path)):
        yield from _file(str(value))
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        if has_length and value.ndim:  # An array without dimensions may be a counter.
            yield from spread_bytes(value, _MOST_ITEMS)
    elif _is_table(value):
        yield _table(value)
    elif depth and id(value) not in seen and len(seen) < _MOST_OBJECTS and not isinstance(value, type):
        seen[id(value)] = value
        for item in _items(value):
            yield from _contents(item, depth - 1, seen, has_length=has_length)


def _items(value: object) -> list[Any]:
    """Returns at most 256 values of a mapping or list, nothing for a function, and the attributes of another object."""
    if isinstance(value, Mapping):
        return list(value.values())[:_MOST_ITEMS]
    if isinstance(value, (list, tuple)):
        return list(value)[:_MOST_ITEMS]
    if callable(value) and not isinstance(value, Iterable):
        return []
    return list(attributes_of(value).values())


def attributes_of(value: object) -> dict[str, Any]:
    """Returns the attributes of an object by name; empty for an object without ``__dict__``, such as a number."""
    return getattr(value, "__dict__", {})


def _file(name: str) -> Iterator[bytes]:
    """Yields name and size of the file with this path; nothing if there is no such file or the file is temporary."""
    if len(name) > 4096 or not ("/" in name or "." in name) or name.startswith(TEMPORARY):
        return
    with suppress(OSError, ValueError):
        path = Path(name)
        if path.is_file():
            yield f"file {_DIGEST.sub('', path.name)} {path.stat().st_size}".encode("utf-8", "surrogatepass")


def length_or_none(value: object) -> int | None:
    """Returns the length of an object of any library; None if the object has no length or ``len`` fails."""
    with suppress(Exception):  # A library's object may not be initialised completely.
        return length_of(value)
    return None


def spread_bytes(value: torch.Tensor | np.ndarray[Any, Any], count: int) -> Iterator[bytes]:
    """Yields data type, shape and evenly spread elements of a tensor or array as bytes.

    All elements are used if there are less than twice ``count``; otherwise ``count`` to twice ``count`` of them. The
    elements are left out if they are Python objects, or if the tensor is not a dense tensor in CPU memory.
    """
    yield f"{value.dtype}{tuple(value.shape)}".encode()
    if isinstance(value, torch.Tensor):
        if value.device.type == "cpu" and value.layout is torch.strided:
            flat = value.detach().reshape(-1)
            chosen = flat[:: max(len(flat) // count, 1)].contiguous()
            if len(chosen):
                yield chosen.view(torch.uint8).numpy().tobytes()
    elif value.dtype != object:
        flat_array = value.reshape(-1)
        yield flat_array[:: max(len(flat_array) // count, 1)].tobytes()


def _is_table(value: object) -> bool:
    """Whether a value is a pyarrow table, in which Hugging Face's datasets store samples; does not import pyarrow."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(value, getattr(arrow, "Table", ()))


def _table(table: Any) -> bytes:
    """Returns schema, number of rows and evenly spread rows of a pyarrow table as bytes.

    At most 256 rows of together about 4 MiB are used, but at least one row of a table that is not empty.
    """
    count = table.num_rows
    chosen = {}
    if count:
        wanted = max(min(_MOST_ITEMS, count * _MOST_BYTES // max(table.nbytes, 1)), 1)
        chosen = table.take(list(range(0, count, -(-count // wanted)))).to_pydict()
    return f"table {table.schema.remove_metadata()} {count} {chosen}".encode("utf-8", "surrogatepass")
