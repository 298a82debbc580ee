"""What can be compared of a library's object: its tables, its arrays and the files that it names."""

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
"""How the paths of temporary files and folders begin."""
_DEPTH = 6
_MOST_OBJECTS = 2000
_MOST_ITEMS = 256
_MOST_BYTES = 2**22
# Libraries whose datasets, transforms and arrays are made of settings alone.
_OF_SETTINGS = frozenset({"eng", "torch", "torchvision", "numpy", "builtins", "__main__"})
# Names of files in a cache hold a digest, which may be another in each process.
_DIGEST = re.compile(r"[0-9a-f]{12,}")


def is_of_library(cls: type) -> bool:
    """Whether a class comes from the standard library or an installed package, or derives from one of such a package.

    Attributes of its objects are not only settings of a user. Datasets that derive from eng's are: their attributes are.
    """
    if issubclass(cls, BaseDataset):
        return False
    return _top(cls) in sys.stdlib_module_names or any(map(_is_installed, cls.__mro__))


def _top(cls: type) -> str:
    name = cls.__module__.partition(".")[0]
    if name in _OF_SETTINGS:
        return ""
    return name


def _is_installed(cls: type) -> bool:
    if not _top(cls):
        return False
    file = file_of_module(cls.__module__) or ""
    return _top(cls) not in sys.stdlib_module_names and INSTALLED.search(file) is not None


def library_content(value: object, unknown: set[str]) -> list[bytes]:
    """The parts of a library's object that are the same in each process that reads the same data, in a fixed order.

    The attributes of such an object hold counters, caches and random numbers beside the settings, so that only tables,
    arrays (of an object with a length) and existing files count.

    Args:
        value: the object.
        unknown: gets the name of its class where it gives samples and none of them can be compared.
    """
    length = length_or_none(value)
    parts = sorted(set(_contents(value, _DEPTH, {}, has_length=length is not None)))
    if not parts and (isinstance(value, Iterable) or hasattr(value, "__getitem__")):
        unknown.add(type(value).__qualname__)
    return [str(length).encode(), *parts]


def _contents(value: object, depth: int, seen: dict[int, Any], *, has_length: bool) -> Iterator[bytes]:
    """What an object of a library adds to a fingerprint: files, tables, and arrays where the dataset has a length."""
    if isinstance(value, (str, Path)):
        yield from _file(str(value))
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        if has_length and value.ndim:  # an array without dimensions may be a counter
            yield from spread_bytes(value, _MOST_ITEMS)
    elif _is_table(value):
        yield _table(value)
    elif depth and id(value) not in seen and len(seen) < _MOST_OBJECTS and not isinstance(value, type):
        seen[id(value)] = value
        for item in _items(value):
            yield from _contents(item, depth - 1, seen, has_length=has_length)


def _items(value: object) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())[:_MOST_ITEMS]
    if isinstance(value, (list, tuple)):
        return list(value)[:_MOST_ITEMS]
    if callable(value) and not isinstance(value, Iterable):
        return []
    return list(attributes_of(value).values())


def attributes_of(value: object) -> dict[str, Any]:
    """The attributes of an object by name; empty where the object has none of its own, such as a number."""
    return getattr(value, "__dict__", {})


def _file(name: str) -> Iterator[bytes]:
    if len(name) > 4096 or not ("/" in name or "." in name) or name.startswith(TEMPORARY):
        return
    with suppress(OSError, ValueError):
        path = Path(name)
        if path.is_file():
            yield f"file {_DIGEST.sub('', path.name)} {path.stat().st_size}".encode("utf-8", "surrogatepass")


def length_or_none(value: object) -> int | None:
    """The length of an object whose code is not eng's; None where it has none, or fails to tell."""
    with suppress(Exception):  # the object may be half initialised
        return length_of(value)
    return None


def spread_bytes(value: torch.Tensor | np.ndarray[Any, Any], count: int) -> Iterator[bytes]:
    """Type, shape and evenly spread elements of a tensor or array: all up to ``count``, and of more less than twice as many.

    Elements are left out where they are objects or do not lie in this process's memory.
    """
    yield f"{value.dtype}{tuple(value.shape)}".encode()
    if isinstance(value, torch.Tensor):
        if value.device.type == "cpu" and value.layout is torch.strided:
            flat = value.detach().reshape(-1)
            chosen = flat[:: max(len(flat) // count, 1)].contiguous()
            yield chosen.view(torch.uint8).numpy().tobytes() if len(chosen) else b""
    elif value.dtype != object:
        flat_array = value.reshape(-1)
        yield flat_array[:: max(len(flat_array) // count, 1)].tobytes()


def _is_table(value: object) -> bool:
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(value, getattr(arrow, "Table", ()))


def _table(table: Any) -> bytes:
    """Schema, number of rows, and rows that are spread evenly over a table of pyarrow."""
    count = table.num_rows
    chosen = {}
    if count:
        wanted = max(min(_MOST_ITEMS, count * _MOST_BYTES // max(table.nbytes, 1)), 1)
        chosen = table.take(list(range(0, count, -(-count // wanted)))).to_pydict()
    return f"table {table.schema.remove_metadata()} {count} {chosen}".encode("utf-8", "surrogatepass")
