"""A fingerprint of a dataset that reads no sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.dataset.utils import length_of

_LIMIT = 4096  # elements of one array, characters of one text, or items of one list that are looked at
_DEPTH = 4


def data_facts(dataloader: Any) -> dict[str, Any]:
    """Class, length and fingerprint of what a dataloader reads.

    A dataset with a method ``fingerprint()`` answers for itself. For others the fingerprint covers the settings, arrays and
    lists in its attributes (up to 4096 evenly spread elements of each), and name and size of the files that they name.

    Args:
        dataloader: of a run; None gives nothing.
    """
    dataset = getattr(dataloader, "dataset", dataloader)
    if dataset is None:
        return {}
    return {"type": type(dataset).__name__, "length": length_of(dataset), "fingerprint": fingerprint(dataset)}


def fingerprint(dataset: Any) -> str:
    """Twelve characters that differ where datasets do; see :func:`data_facts`."""
    answer = getattr(dataset, "fingerprint", None)
    if callable(answer):
        return str(answer())
    state = hashlib.blake2b(digest_size=6)
    for part in _parts(dataset, _DEPTH, set()):
        state.update(part)
    return state.hexdigest()


def _parts(value: Any, depth: int, seen: set[int]) -> Iterator[bytes]:
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        yield _scalar(value)
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        yield from _array(value)
    elif isinstance(value, Path):
        yield _scalar(str(value))
    elif depth == 0 or id(value) in seen or isinstance(value, type):
        yield type(value).__qualname__.encode()
    else:
        seen.add(id(value))
        yield from _container(value, depth, seen)


def _container(value: Any, depth: int, seen: set[int]) -> Iterator[bytes]:
    yield type(value).__qualname__.encode()
    if isinstance(value, Mapping):
        items = [(str(key), value[key]) for key in value]
    elif isinstance(value, (Sequence, set, frozenset)) and type(value).__module__ == "builtins":
        ordered = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        step = max(len(ordered) // _LIMIT, 1)
        items = [("", item) for item in ordered[::step]]
        yield str(len(ordered)).encode()
    elif callable(value) and not hasattr(value, "__getitem__"):
        yield str(getattr(value, "__qualname__", "")).encode()
        items = []
    else:
        items = [(key, item) for key, item in getattr(value, "__dict__", {}).items() if not key.startswith("__")]
    for key, item in items:
        yield key.encode("utf-8", "surrogatepass")
        yield from _parts(item, depth - 1, seen)


def _scalar(value: Any) -> bytes:
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    size = _file_size(value) if isinstance(value, str) and "/" in value else b""
    return type(value).__name__.encode() + text[:_LIMIT] + size


def _file_size(name: str) -> bytes:
    try:
        path = Path(name)
        return str(path.stat().st_size).encode() if path.is_file() else b""
    except (OSError, ValueError):
        return b""


def _array(value: torch.Tensor | np.ndarray[Any, Any]) -> Iterator[bytes]:
    yield f"{value.dtype}{tuple(value.shape)}".encode()
    if isinstance(value, torch.Tensor):
        if value.device.type != "cpu" or value.layout is not torch.strided:
            return
        flat = value.detach().reshape(-1)
        chosen = flat[:: max(len(flat) // _LIMIT, 1)].contiguous()
        yield chosen.view(torch.uint8).numpy().tobytes() if len(chosen) else b""
    elif value.dtype != object:
        flat_array = value.reshape(-1)
        yield flat_array[:: max(len(flat_array) // _LIMIT, 1)].tobytes()
