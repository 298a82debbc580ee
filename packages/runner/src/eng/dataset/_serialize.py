"""Pack annotations into one array of bytes in shared memory, so that workers do not copy millions of Python objects."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._shared_array import share

_BATCH = 4096
_PROTOCOL = 5


def local_ranks() -> int:
    """Returns the number of ranks on this machine, from torchrun's variable ``LOCAL_WORLD_SIZE``; 1 without it."""
    try:
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    except ValueError:
        return 1


def pack(records: list[Any]) -> tuple[Any, Any]:
    """Pickles records into shared memory, and empties the list meanwhile, so that memory is not needed twice.

    Returns:
        ``(bytes,) uint8`` with the pickles, and ``(records,) int64`` with the end of each pickle.
    """
    lengths: list[int] = []
    with no_collection():
        packed = share(_chunks(records, lengths), lengths, local_ranks())
    records.clear()
    return packed


def _chunks(records: list[Any], lengths: list[int]) -> Iterator[bytes]:
    for start in range(0, len(records), _BATCH):
        stop = start + _BATCH
        pickles = [pickle.dumps(record, _PROTOCOL) for record in records[start:stop]]
        records[start:stop] = [None] * len(pickles)
        lengths.extend(map(len, pickles))
        yield b"".join(pickles)


def unpack(data: Any, ends: Any, index: int) -> Any:
    """Unpickles record ``index`` (0 or more) from the arrays of :func:`pack`."""
    start = 0
    if index > 0:
        start = ends[index - 1]
    return pickle.loads(data[start : ends[index]].data)


def take(data: Any, ends: Any, positions: Sequence[int]) -> tuple[Any, Any]:
    """Copies the packed records at ``positions`` (0 or more), in that order, into new shared memory."""
    starts = np.concatenate([np.zeros(1, np.int64), np.asarray(ends)])
    lengths: list[int] = []

    def chunks() -> Iterator[bytes]:
        for position in positions:
            piece = data[starts[position] : starts[position + 1]].tobytes()
            lengths.append(len(piece))
            yield piece

    return share(chunks(), lengths, local_ranks())


@contextmanager
def no_collection() -> Iterator[None]:
    """Disables the garbage collector within the ``with`` block; with millions of records it would run all the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
