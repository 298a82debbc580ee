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
    """Returns the number of ranks on this machine, which torchrun sets as environment variable ``LOCAL_WORLD_SIZE``.

    If the variable is not set, 1 is returned.
    """
    try:
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    except ValueError:
        return 1


def pack(records: list[Any]) -> tuple[Any, Any]:
    """Pickles the annotations of a dataset into shared memory, which ranks and worker processes then share.

    Each record is removed from the list once it is pickled, so that the annotations are not in memory twice.

    Returns:
        the pickles one after another as ``(bytes,) uint8``, and the position at which each pickle ends in this array as
        ``(records,) int64``.
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
    """Unpickles the record with the number `index` (0 or more) from the two arrays that :func:`pack` has returned."""
    start = 0
    if index > 0:
        start = ends[index - 1]
    return pickle.loads(data[start : ends[index]].data)


def take(data: Any, ends: Any, positions: Sequence[int]) -> tuple[Any, Any]:
    """Copies a selection of the packed records into new shared memory.

    Args:
        data: the pickles of all records, as :func:`pack` returns them.
        ends: the end of each pickle in `data`.
        positions: numbers (0 or more) of the records to copy, in the order of the result.
    """
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
    """Disables Python's garbage collector while the ``with`` block runs.

    While millions of records are created, the collector would scan them again and again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
