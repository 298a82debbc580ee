"""Computes a fingerprint (a digest) of a dataset from the dataset's attributes, without reading samples."""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import random
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from eng.dataset._loader_parts import dataset_of
from eng.dataset.utils import length_of
from eng.registry import ManagerMixin

from .library_data import TEMPORARY, attributes_of, is_of_library, length_or_none, library_content, spread_bytes

SCHEME = 2
"""Version of the fingerprint's algorithm; fingerprints of different versions cannot be compared."""

# Only so many characters of a text, and about so many evenly spread elements of an array or list, enter a fingerprint.
_LIMIT = 4096
_DEPTH = 4
_PLAIN = (str, int, float, bool, type(None))
# Attributes of objects of these classes do not enter a fingerprint, because they differ in each run (names of log
# files).
_OF_THE_RUN = (ManagerMixin, logging.Logger, logging.Handler, ModuleType, io.IOBase, threading.Thread, random.Random)
# Classes of the standard library whose attributes enter a fingerprint, because users store settings in them.
_SETTINGS = (argparse.Namespace, SimpleNamespace)
_ADDRESS = " at 0x"
_ADDRESSES = re.compile(r" at 0x[0-9a-fA-F]+")
_TEMPORARY_NAMES = re.compile(re.escape(TEMPORARY) + r"[a-z0-9_]{8}(?![a-z0-9_])")
_DAY_S = 86400.0


@dataclass
class _Walk:
    """State of the recursive walk through a dataset's attributes.

    Attributes:
        seen: objects that the walk has already visited, by id.
        unknown: names of classes whose content cannot be compared, such as generators.
    """

    seen: dict[int, Any] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def branch(self) -> _Walk:
        """Returns a walk with its own copy of the visited objects; both walks add unknown classes to the same set."""
        return _Walk(dict(self.seen), self.unknown)


def data_facts(dataloader: object) -> dict[str, Any]:
    """Returns class, length and fingerprint of the dataset that a dataloader reads.

    If the dataset has a method ``fingerprint()``, its result is used. Otherwise the fingerprint covers the settings,
    arrays and lists in the dataset's attributes, and the name and size of each file whose path is among these
    attributes. Of an array or list with more than 4096 elements, evenly spread elements are covered. The fingerprint
    omits everything that may differ between two processes that read the same data: the order of sets, memory addresses,
    names of temporary folders and times. Of an object whose class comes from a library, only tables, arrays and files
    are covered.

    Args:
        dataloader: dataloader of a run; None returns an empty dict.

    Returns:
        A dict with ``type``, ``length``, ``fingerprint``, ``scheme`` (see :data:`SCHEME`) and ``unknown``, a list of
        the classes whose samples the fingerprint does not cover, such as generators.
    """
    dataset = dataset_of(dataloader)
    if dataset is None:
        dataset = dataloader
    if dataset is None:
        return {}
    facts = {"type": type(dataset).__name__, "length": length_of(dataset)}
    return {**facts, **_fingerprint_and_unknown(dataset), "scheme": SCHEME}


def fingerprint(dataset: object) -> str:
    """Returns the fingerprint of a dataset: twelve characters, the same in each process; see :func:`data_facts`."""
    return str(_fingerprint_and_unknown(dataset)["fingerprint"])


def _fingerprint_and_unknown(dataset: object) -> dict[str, Any]:
    """Returns the fingerprint of a dataset, and the names of classes whose content the fingerprint does not cover."""
    answer = getattr(dataset, "fingerprint", None)
    if callable(answer):
        return {"fingerprint": str(answer()), "unknown": []}
    state, walk = hashlib.blake2b(digest_size=6), _Walk()
    for part in _parts(dataset, _DEPTH, walk):
        state.update(part)
    return {"fingerprint": state.hexdigest(), "unknown": sorted(walk.unknown)}


def _parts(value: object, depth: int, walk: _Walk) -> Iterator[bytes]:
    """Yields the bytes that a value adds to a fingerprint.

    Args:
        value: an attribute of a dataset, or a value nested inside such an attribute.
        depth: number of nesting levels to descend; at depth 0 only the class name of a container is used.
        walk: the objects visited so far; an object that was visited before adds only its class name.
    """
    if isinstance(value, float) and _is_time_of_now(value):
        yield b"time"
    elif isinstance(value, (str, bytes, Number, type(None))):
        yield _scalar(value)
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        yield from spread_bytes(value, _LIMIT)
    elif isinstance(value, Path):
        yield _scalar(str(value))
    elif depth == 0 or id(value) in walk.seen or isinstance(value, (type, *_OF_THE_RUN)):
        yield type(value).__qualname__.encode()
    else:
        walk.seen[id(value)] = value  # The reference keeps Python from giving the same id to another object.
        yield from _container(value, depth, walk)


def _is_time_of_now(value: float) -> bool:
    """Whether a number is a result of ``time.time()`` within the last day, which differs in each process."""
    return abs(time.time() - value) < _DAY_S


def _container(value: object, depth: int, walk: _Walk) -> Iterator[bytes]:
    """Yields the bytes that a container, or an object with attributes, adds to a fingerprint.

    An iterator cannot be read without consuming its items, so that its class is recorded as unknown. A function adds
    its name, and an object of a library only its tables, arrays and files.
    """
    yield type(value).__qualname__.encode()
    if isinstance(value, Mapping):
        yield from sorted(_entry(key, value[key], depth, walk) for key in value)
    elif isinstance(value, (set, frozenset)):
        yield from _members(value, depth, walk)
    elif isinstance(value, Iterator):
        walk.unknown.add(type(value).__qualname__)
    elif isinstance(value, (deque, Sequence)) and type(value).__module__ in ("builtins", "collections"):
        step = max(len(value) // _LIMIT, 1)
        yield str(len(value)).encode()
        for item in list(value)[::step]:
            yield from _parts(item, depth - 1, walk)
    elif callable(value) and not hasattr(value, "__getitem__"):
        yield str(getattr(value, "__qualname__", "")).encode()
    elif is_of_library(type(value)) and not isinstance(value, _SETTINGS):
        yield from library_content(value, walk.unknown)
    else:
        yield from _attributes(value, depth, walk)


def _attributes(value: object, depth: int, walk: _Walk) -> Iterator[bytes]:
    """Yields the bytes that the attributes of an object, such as a dataset, add to a fingerprint.

    A list of texts is sorted, because ``tuple(set(...))`` has another order in each process. A list whose length is
    that of the dataset is not sorted, because its order is the order of the samples.
    """
    length = length_or_none(value)
    for name, item in attributes_of(value).items():
        if name.startswith("__"):
            continue
        yield name.encode("utf-8", "surrogatepass")
        if isinstance(item, (list, tuple)) and len(item) not in (0, length) and _is_names(item):
            yield type(item).__qualname__.encode()
            yield from _members(item, depth - 1, walk)
        else:
            yield from _parts(item, depth - 1, walk)


def _is_names(items: Sequence[Any]) -> bool:
    """Whether a list contains only texts and paths, and at most 4096 of them."""
    return len(items) <= _LIMIT and all(isinstance(item, (str, bytes, Path)) for item in items)


def _members(items: Iterable[Any], depth: int, walk: _Walk) -> list[bytes]:
    """Returns the number of items and the sorted bytes of the items: their order does not change a fingerprint."""
    members = sorted(b"".join(_parts(item, depth - 1, walk.branch())) for item in items)
    return [str(len(members)).encode(), *members[:: max(len(members) // _LIMIT, 1)]]


def _entry(key: object, value: object, depth: int, walk: _Walk) -> bytes:
    """Returns the bytes that one key and its value in a mapping add to a fingerprint."""
    if isinstance(key, _PLAIN):
        name = _text(str(key))
    else:
        name = b"".join(_parts(key, depth - 1, walk))
    return name + b"".join(_parts(value, depth - 1, walk))


def _scalar(value: object) -> bytes:
    """Returns the bytes of a text or number; if the text is the path of an existing file, also the size of the file."""
    if isinstance(value, bytes):
        text = value
    else:
        text = _text(str(value))
    size = b""
    if isinstance(value, str) and "/" in value:
        size = _file_size(value)
    return type(value).__name__.encode() + text[:_LIMIT] + size


def _text(value: str) -> bytes:
    """Encodes a text as bytes, without memory addresses and names of temporary folders: both differ in each process."""
    if _ADDRESS in value:
        value = _ADDRESSES.sub(_ADDRESS, value)
    if TEMPORARY in value:
        value = _TEMPORARY_NAMES.sub(TEMPORARY, value)
    return value.encode("utf-8", "surrogatepass")


def _file_size(name: str) -> bytes:
    """Returns the size in bytes of the file with this path, as text; empty if there is no such file."""
    try:
        path = Path(name)
        if path.is_file():
            return str(path.stat().st_size).encode()
        return b""
    except (OSError, ValueError):
        return b""
