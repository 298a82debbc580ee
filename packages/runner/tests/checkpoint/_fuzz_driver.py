"""Reads randomly edited checkpoints within a limit of memory and prints how many gave a value or one of two errors.

    python _fuzz_driver.py COUNT SEED FOLDER

The process ends with a traceback, a signal or a time limit where any file does something else. The number of the file
stands in FOLDER/current, and the file itself beside it.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import io
import json
import logging
import pickletools
import random
import resource
import signal
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import torch

from eng.checkpoint import (
    BrokenCheckpointError,
    UntrustedCheckpointError,
    export_weights,
    find_latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    read_checkpoint,
    summarize_checkpoint,
)
from eng.checkpoint._allow import allowed_types
from eng.logging import HistoryBuffer

SPARE_BYTES = 2 << 30
SECONDS_PER_FILE = 60
MMENGINE = Path(__file__).parent / "data" / "mmengine_0_10_7_epoch_2.pth"
EXTREMES = [0, 1, -1, 255, 2**31 - 1, -(2**31), 10**6]


def seeds() -> list[dict]:
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.note = "x"
    quantized = torch.quantize_per_channel(torch.ones(4, 3), torch.ones(4), torch.zeros(4).long(), 0, torch.qint8)
    return [
        {"meta": {"iter": 1}, "state_dict": torch.nn.BatchNorm1d(3).state_dict(), "t": torch.arange(6.0).view(2, 3).t()},
        {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(1), "c": np.array(["ab", "c"]), "d": np.arange(3, dtype=">i2")},
        {"h": HistoryBuffer([1.0, 2.0], [1, 1]), "q": collections.deque([1, 2], 3), "s": {1, (2, 3)}, "f": frozenset("ab")},
        {"p": parameter, "q": quantized, "s": torch.eye(3).to_sparse(), "c": torch.eye(3).to_sparse_csr()},
        {"n": dt.datetime(2026, 1, 2), "z": dt.timezone.utc, "r": range(5), "b": b"ab\xff", "x": 10**30},
        {"o": torch.optim.AdamW([parameter]).state_dict(), "c": collections.Counter("aab"), "l": [[[1]], ({},)]},
    ]  # fmt: skip


def pickle_of(value: object) -> tuple[bytes, dict[str, bytes]]:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return records_of(buffer)


def records_of(file: object) -> tuple[bytes, dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in records if name.endswith("/data.pkl"))
    return records.pop(name), {key.partition("/")[2]: value for key, value in records.items()}


def operations(data: bytes) -> list[bytes]:
    starts = [position for _, _, position in pickletools.genops(data)]
    return [data[begin:end] for begin, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def edited(rng: random.Random, parts: list[bytes], others: list[bytes], names: list[str]) -> bytes:
    """The pickle with one to eight random edits of its operations."""
    parts = list(parts)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        index = rng.randrange(1, len(parts))
        edit = rng.choice([0, 1, 2, 3, 4, 4, 5, 6, 6, 7, 7])
        if edit == 0:
            del parts[index]
        elif edit == 1:
            parts.insert(index, parts[rng.randrange(1, len(parts))])
        elif edit == 2:
            parts[index] = rng.choice(others)
        elif edit == 3:
            parts[index : index + 5] = others[(start := rng.randrange(len(others))) : start + 5]
        elif edit == 4:
            parts[index] = b"J" + rng.choice(EXTREMES).to_bytes(4, "little", signed=True)
        elif edit == 5:
            parts[index] = b"\x8a\x09" + rng.randbytes(9)
        elif edit == 6:
            places = [i for i, part in enumerate(parts) if part[:1] == b"c"]
            module, _, name = rng.choice(names).rpartition(".")
            parts[rng.choice(places or [index])] = f"c{module}\n{name}\n".encode()
        else:
            raw = bytearray(parts[index])
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            parts[index] = bytes(raw)
    return b"".join(parts)


def archived(data: bytes, records: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The file with random bytes changed, or cut short."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 8])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.2 else changed)


def use(value: object) -> None:
    """Looks at every value, so that a pointer out of bounds would be followed."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            waiting.extend(current.values())
        elif isinstance(current, list | tuple | set | frozenset | collections.deque):
            waiting.extend(current)
        elif isinstance(current, torch.Tensor):
            if not current.is_meta and current.layout == torch.strided and 0 < current.numel() < 10**6:
                current.detach().clone()
        elif isinstance(current, np.ndarray):
            if current.size < 10**6:
                repr(current.tolist())
        elif isinstance(current, HistoryBuffer):
            with contextlib.suppress(ValueError):
                current.mean()
        else:
            repr(current)


def outcome(path: Path) -> str:
    try:
        use(read_checkpoint(path))
        summarize_checkpoint(path)
        list_checkpoints(path.parent)
        find_latest_checkpoint(path.parent)
        with contextlib.suppress(KeyError):  # most have no average
            export_weights(path, path.with_name("weights.pth"), which="trained")
        load_checkpoint(torch.nn.Linear(1, 1), path, logger="silent")
    except BrokenCheckpointError:
        return "broken"
    except UntrustedCheckpointError:
        return "untrusted"
    return "value"


def main(count: int, seed: int, folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    rng = random.Random(seed)
    samples = [records_of(MMENGINE), *(pickle_of(value) for value in seeds())]
    parts = [operations(data) for data, _ in samples]
    others = [operation for sample in parts for operation in sample]
    names = [*allowed_types(), "os.system", "builtins.eval", "torch.load", "builtins.getattr"]
    legacy = io.BytesIO()
    torch.save(seeds()[0], legacy, _use_new_zipfile_serialization=False)
    raw = [MMENGINE.read_bytes(), legacy.getvalue()]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, used + SPARE_BYTES))
    path = folder / "edited.pth"
    tally: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for number in range(count):
        if rng.random() < 0.2:
            content = damaged(rng, rng.choice(raw))
        else:
            index = rng.randrange(len(samples))
            content = archived(edited(rng, parts[index], others, names), samples[index][1])
        path.write_bytes(content)
        (folder / "current").write_text(str(number))
        signal.alarm(SECONDS_PER_FILE)
        began = time.perf_counter()
        tally[outcome(path)] += 1
        slowest = max(slowest, time.perf_counter() - began)
        signal.alarm(0)
    print(json.dumps({**tally, "slowest_s": round(slowest, 3)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
