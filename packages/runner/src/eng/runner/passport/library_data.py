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

from .code import INSTALLED

__all__ = ["is_of_library", "library_content"]

_TEMPORARY = str(Path(tempfile.gettempdir()) / "tmp")
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
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return _top(cls) not in sys.stdlib_module_names and INSTALLED.search(file) is not None


def library_content(value: object, unknown: set[str]) -> list[bytes]:
    """The parts of a library's object that are the same in each process that reads the same data, in a fixed order.

    The attributes of such an object hold counters, caches and random numbers beside the settings, so that only tables,
    arrays (of an object with a length) and existing files count.

    Args:
        value: the object.
        unknown: gets the name of its class where it gives samples and none of them can be compared.
    """
    length = None
    with suppress(Exception):  # code of others, in an object that may be half made
        length = length_of(value)
    parts = sorted(set(_contents(value, _DEPTH, {}, has_length=length is not None)))
    if not parts and (isinstance(value, Iterable) or hasattr(value, "__getitem__")):
        unknown.add(type(value).__qualname__)
    return [str(length).encode(), *parts]


def _contents(value: object, depth: int, seen: dict[int, Any], *, has_length: bool) -> Iterator[bytes]:
    """What an object of a library adds to a fingerprint: files, tables, and arrays where the dataset has a length."""
    if isinstance(value, (str, Path)):
        yield from _file(str(value))
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        if has_length:
            yield from _array_part(value)
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
    return list(getattr(value, "__dict__", {}).values())


def _file(name: str) -> Iterator[bytes]:
    if len(name) > 4096 or not ("/" in name or "." in name) or name.startswith(_TEMPORARY):
        return
    with suppress(OSError, ValueError):
        path = Path(name)
        if path.is_file():
            yield f"file {_DIGEST.sub('', path.name)} {path.stat().st_size}".encode("utf-8", "surrogatepass")


def _array_part(value: torch.Tensor | np.ndarray[Any, Any]) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        if value.device.type != "cpu" or value.layout is not torch.strided or value.dtype is torch.bfloat16:
            return
        value = value.detach().numpy()
    if value.dtype != object and value.ndim:
        flat = value.reshape(-1)
        yield f"{value.dtype}{value.shape}".encode() + flat[:: max(len(flat) // _MOST_ITEMS, 1)].tobytes()


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
