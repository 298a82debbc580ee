"""Pickles that are built to do harm: none runs code, follows a pointer, or takes memory and time beyond its length."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from eng.checkpoint import BrokenCheckpointError, UntrustedCheckpointError, read_checkpoint

DRIVER = Path(__file__).parent / "_fuzz_driver.py"
FUZZED_FILES = int(os.environ.get("ENG_FUZZ_FILES", "1500"))
REFUSED = (BrokenCheckpointError, UntrustedCheckpointError)


def archive(data: bytes, records: dict[str, bytes] | None = None) -> io.BytesIO:
    """A checkpoint with `data` for its pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", data)
        for name, content in (records or {}).items():
            file.writestr(f"archive/data/{name}", content)
    return buffer


def call(name: str, *arguments: bytes) -> bytes:
    """Operations that call `module.name` with arguments that are given as operations."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n(".encode() + b"".join(arguments) + b"tR"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(4) + b"tQ"


def tensor(offset: int, size: int, stride: int) -> bytes:
    return call(
        "torch._utils._rebuild_tensor_v2", STORAGE, number(offset), b"(" + number(size) + b"t",
        b"(" + number(stride) + b"t", b"\x89", call("collections.OrderedDict"),
    )  # fmt: skip


def dtype(code: str, state: bytes = b"") -> bytes:
    return call("numpy.dtype", text(code), b"\x89", b"\x88") + state


def array(dtype_: bytes, shape: bytes, data: bytes) -> bytes:
    empty = call("numpy._core.multiarray._reconstruct", b"cnumpy\nndarray\n", b"(K\x00t", text("b"))
    content = call("_codecs.encode", text(data.decode("latin1")), text("latin1"))
    return empty + b"(K\x01" + shape + dtype_ + b"\x89" + content + b"tb"


OBJECT_STATE = b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
FIELDS_STATE = (
    b"(K\x03"
    + text("|")
    + b"N("
    + text("a")
    + b"t}"
    + text("a")
    + b"("
    + dtype("f8")
    + number(-4096)
    + b"tsK\x08K\x01K\x10tb"
)

NESTED_KEY = b"K\x01" + b"\x85" * 200_000
DOUBLED = b"K\x01" + b"2\x86" * 200  # a pair of pairs of pairs

HARMFUL = {
    "tensor-beyond-its-storage": tensor(0, 5, 1),
    "tensor-before-its-storage": tensor(-1, 2, 1),
    "tensor-of-negative-stride": tensor(3, 4, -1),
    "tensor-whose-size-overflows": tensor(0, 2**62, 2**62),
    "object-array": array(dtype("O8"), b"(K\x01t", b"\x41" * 8),
    "object-flag": array(dtype("f8", OBJECT_STATE), b"(K\x01t", b"\x41" * 8),
    "fields-with-negative-offset": array(dtype("V8", FIELDS_STATE), b"(K\x01t", b"\x41" * 8),
    "array-longer-than-its-bytes": array(dtype("f8"), b"(" + number(10**9) + b"t", b"\x41" * 8),
    "array-of-impossible-shape": array(dtype("f8"), b"(" + number(2**40) + number(2**40) + b"t", b""),
    "array-of-impossible-text": array(dtype("U1"), b"(K\x01t", b"\xff\xff\xff\xff"),
    "scalar-without-its-bytes": call("numpy._core.multiarray.scalar", dtype("f8"), b"C\x01a"),
    "scalar-of-an-object": call("numpy._core.multiarray.scalar", dtype("O8"), b"C\x08" + b"A" * 8),
    "list-of-a-range": call("builtins.list", call("builtins.range", number(10**12))),
    "deque-of-a-range": call("collections.deque", call("builtins.range", number(10**12))),
    "bytes-of-a-number": call("builtins.bytes", number(10**12)),
    "bytearray-of-a-number": call("builtins.bytearray", number(10**12)),
    "tensor-of-a-number": call("torch.Tensor", number(10**12)),
    "lists-copied-again-and-again": b"]q\x00(" + b"N" * 50_000 + b"e0"
    + b"]" + b"".join(call("builtins.list", b"h\x00") + b"a" for _ in range(10_000)),
    "deeply-nested-key": b"}" + NESTED_KEY + b"K\x01s",
    "doubled-key": b"}" + DOUBLED + b"K\x01s",
    "doubled-value": b"}K\x01" + b"]2\x86" + b"2\x86" * 200 + b"s",
    "deeply-nested-value": b"]" * 100_000 + b"a" * 99_999,
    "dict-in-itself": b"}q\x00K\x01h\x00s",
    "keys-of-one-hash": b"}(" + b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, 100_000)) + b"u",
    "memo-of-many": b"Nr\xff\xff\xff\xff0h\x01",
    "text-of-four-gigabytes": b"B\xff\xff\xff\xffabc",
    "history-of-objects": call("eng.logging.history_buffer.HistoryBuffer") + b"}(" + text("_log_history") + b"]" + text("_count_history") + b"]" + text("max_length") + number(10**18) + b"ub",
    "state-of-a-function": b"ctorch._utils\n_rebuild_tensor_v2\n}" + text("__defaults__") + b")sb",
    "state-of-a-class": b"ccollections\nOrderedDict\n}" + text("get") + b"Nsb",
    "state-of-a-list": b"]}b",
    "storage-elsewhere": b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("../../secret") + text("cpu") + number(1) + b"tQ",
    "storage-of-a-terabyte": b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(2**38) + b"tQ",
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_pickles_are_refused(name):
    began = time.thread_time()
    with pytest.raises(REFUSED, match=r"the checkpoint is (not|refused)"):
        read_checkpoint(archive(b"\x80\x02" + HARMFUL[name] + b".", {"0": bytes(16)}))
    assert time.thread_time() - began < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8 * 2**20  # in kB


def test_the_harmless_twins_of_the_harmful_are_read():
    """So that the table above does not hold only because its pickles are malformed."""
    read = lambda data: read_checkpoint(archive(b"\x80\x02" + data + b".", {"0": bytes(16)}))
    assert read(tensor(0, 4, 1)).tolist() == [0.0] * 4
    assert read(array(dtype("f8"), b"(K\x01t", np.float64(1.5).tobytes())).tolist() == [1.5]
    assert read(array(dtype("U1"), b"(K\x01t", np.array(["x"]).tobytes())).tolist() == ["x"]
    assert read(call("builtins.list", b"]K\x01a")) == [1]
    assert read(b"}K\x01\x85\x85K\x02s") == {((1,),): 2}
    assert read(b"}q\x00K\x01]s") == {1: []}


def test_the_records_of_an_archive_are_not_counted_twice():
    """Many names for the same bytes would make terabytes of a small file."""
    buffer = archive(b"", {"0": bytes(1 << 20)})
    with zipfile.ZipFile(buffer, "a") as file:
        original = file.getinfo("archive/data/0")
        for key in range(1, 100):
            twin = zipfile.ZipInfo(f"archive/data/{key}")
            twin.header_offset, twin.CRC = original.header_offset, original.CRC
            twin.file_size = twin.compress_size = original.file_size
            file.filelist.append(twin)
        file._didModify = True  # so that the list of records is written again
    refer = lambda key: STORAGE.replace(text("0"), text(str(key))).replace(number(4), number(1 << 18))
    data = b"\x80\x02](" + b"".join(refer(key) for key in range(100)) + b"e."
    records = buffer.getvalue()
    with zipfile.ZipFile(io.BytesIO(records)) as source:
        assert len(source.namelist()) == 101
    with pytest.raises(BrokenCheckpointError, match="not a whole checkpoint"):
        read_checkpoint(io.BytesIO(_with_pickle(records, data)))


def _with_pickle(records: bytes, data: bytes) -> bytes:
    """The archive with another pickle behind its records."""
    buffer = io.BytesIO(records)
    with zipfile.ZipFile(buffer, "a") as file:
        file.filelist = [member for member in file.filelist if not member.filename.endswith("data.pkl")]
        file.NameToInfo.pop("archive/data.pkl")
        file.writestr("archive/data.pkl", data)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read(protocol, tmp_path):
    value = {
        "a": [1, -300, 2**70, 1.5, None, True],
        "b": ("x", b"y", {1, 2}, frozenset({3})),
        "ü": {"d": bytearray(b"z")},
    }
    torch.save(value, tmp_path / "a.pth", pickle_protocol=protocol)
    assert read_checkpoint(tmp_path / "a.pth") == value


def test_a_type_that_the_user_vouched_for_is_made(tmp_path):
    torch.save({"x": Vouched(3)}, tmp_path / "a.pth")
    with pytest.raises(UntrustedCheckpointError, match="Vouched"):
        read_checkpoint(tmp_path / "a.pth")
    with torch.serialization.safe_globals([Vouched]):
        assert read_checkpoint(tmp_path / "a.pth")["x"].value == 3


class Vouched:
    def __init__(self, value: int) -> None:
        self.value = value


def test_a_program_of_torchscript_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "a.pth")
    with pytest.raises(UntrustedCheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "a.pth")


def test_random_edits_give_a_value_or_one_of_two_errors(tmp_path):
    """ENG_FUZZ_FILES=10000 reads as many files; the driver limits its own memory and time."""
    command = [sys.executable, "-W", "ignore", str(DRIVER), str(FUZZED_FILES), "0", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 + FUZZED_FILES // 10, check=False)
    where = (tmp_path / "current").read_text() if (tmp_path / "current").exists() else "none"
    assert done.returncode == 0, f"file {where}: exit status {done.returncode}\n{done.stderr[-2000:]}"
    tally = json.loads(done.stdout)
    assert tally["value"] + tally["broken"] + tally["untrusted"] == FUZZED_FILES
    assert min(tally["value"], tally["broken"], tally["untrusted"]) > FUZZED_FILES // 50
    assert tally["slowest_s"] < 20


def test_a_pickle_of_the_standard_library_is_read_as_it_does(tmp_path):
    value = {"nested": [{"a": (1, 2)}, "text", 3.5], "same": None}
    value["same"] = value["nested"]
    torch.save(value, tmp_path / "a.pth")
    loaded = read_checkpoint(tmp_path / "a.pth")
    assert loaded == pickle.loads(pickle.dumps(value))
    assert loaded["same"] is loaded["nested"]
