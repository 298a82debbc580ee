"""Records packed one after another, with the end of each: what a worker reads without owning a Python object."""

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
    """Processes of this job on this machine, as torchrun and its kin tell by ``LOCAL_WORLD_SIZE``."""
    try:
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    except ValueError:
        return 1


def pack(records: list[Any]) -> tuple[Any, Any]:
    """The records in shared memory; the list is emptied on the way, so that both never exist whole.

    Returns:
        ``(bytes,) uint8`` with the pickles and ``(records,) int64`` with the end of each.
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
    """Record ``index`` (0 or more), made anew."""
    start = 0 if index == 0 else ends[index - 1]
    return pickle.loads(data[start : ends[index]].data)


def take(data: Any, ends: Any, positions: Sequence[int]) -> tuple[Any, Any]:
    """The packed records at ``positions`` (0 or more), in that order, in shared memory of their own."""
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
    """Keeps the cycle collector away while millions of records, none of them a cycle, come and go."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
