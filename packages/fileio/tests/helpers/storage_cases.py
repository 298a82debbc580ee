"""The cases that every backend passes, importable so that spawned workers can run them too."""

from __future__ import annotations

import hashlib
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import eng.fileio as fileio

NOT_WRITABLE = r"cannot put|open for reading|[Rr]ead-?\s?only|read mode|mode"
LARGE = bytes(range(256)) * (64 * 4096)  # 64 MiB
CONTENTS: dict[str, bytes] = {
    "plain.bin": b"\x00\xff\r\nbytes",
    "text.txt": "first\nGr\u00fc\u00dfe\n".encode(),
    "empty.txt": b"",
    "\u6570\u636e-\u00e4.txt": b"unicode name",
    "tree/a.txt": b"a",
    "tree/b.json": b"{}",
    "tree/deep/c.txt": b"c",
    "large.bin": LARGE,
}


@dataclass
class Store:
    """Where the standard contents lie, and what the backend can do: nothing but arguments, as a data set carries."""

    root: str
    backend_args: dict[str, Any] = field(default_factory=dict)
    writable: bool = True
    listable: bool = True

    def path(self, name: str) -> str:
        first, mark, chain = self.root.partition("::")
        return f"{first}/{name}{mark}{chain}" if first and not first.endswith("://") else f"{first}{name}{mark}{chain}"


def reads_bytes(store: Store) -> None:
    assert fileio.get(store.path("plain.bin"), store.backend_args) == CONTENTS["plain.bin"]


def reads_text(store: Store) -> None:
    assert fileio.get_text(store.path("text.txt"), backend_args=store.backend_args) == "first\nGr\u00fc\u00dfe\n"


def reads_an_empty_file(store: Store) -> None:
    assert fileio.get(store.path("empty.txt"), store.backend_args) == b""


def reads_a_unicode_name(store: Store) -> None:
    assert fileio.get(store.path("\u6570\u636e-\u00e4.txt"), store.backend_args) == b"unicode name"


def reads_64_mib(store: Store) -> None:
    content = fileio.get(store.path("large.bin"), store.backend_args)
    assert len(content) == len(LARGE)
    assert hashlib.md5(content).digest() == hashlib.md5(LARGE).digest()


def says_that_a_key_is_missing(store: Store) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        fileio.get(store.path("absent.txt"), store.backend_args)


def tells_what_exists(store: Store) -> None:
    args = store.backend_args
    assert fileio.exists(store.path("plain.bin"), args)
    assert fileio.isfile(store.path("empty.txt"), args)
    assert not fileio.exists(store.path("absent.txt"), args)
    assert not fileio.isfile(store.path("absent.txt"), args)
    assert fileio.isdir(store.path("tree"), args) == store.listable


def lists_with_recursion_and_suffix(store: Store) -> None:
    def listed(**options: Any) -> list[str]:
        return sorted(fileio.list_dir_or_file(store.path("tree"), backend_args=store.backend_args, **options))

    if not store.listable:
        with pytest.raises(fileio.UnsupportedOperationError, match="cannot list_dir_or_file"):
            listed()
        return
    assert listed() == ["a.txt", "b.json", "deep"]
    assert listed(list_dir=False) == ["a.txt", "b.json"]
    assert listed(list_file=False, recursive=True) == ["deep"]
    assert listed(recursive=True) == ["a.txt", "b.json", "deep", "deep/c.txt"]
    assert listed(list_dir=False, suffix=".txt", recursive=True) == ["a.txt", "deep/c.txt"]
    assert listed(list_dir=False, suffix=(".json", ".md")) == ["b.json"]
    with pytest.raises(TypeError, match="list_dir=False"):
        listed(suffix=".txt")
    with pytest.raises(TypeError, match="suffix takes a str, a tuple"):
        listed(list_dir=False, suffix=3)


def lends_a_local_path_and_cleans_up(store: Store) -> None:
    with fileio.get_local_path(store.path("text.txt"), store.backend_args) as path:
        assert Path(path).read_bytes() == CONTENTS["text.txt"]
        assert Path(path).suffix == ".txt"
    kept = str(path) == store.path("text.txt")
    assert Path(path).exists() == kept
    seen = []

    def fails_inside() -> None:
        with fileio.get_local_path(store.path("plain.bin"), store.backend_args) as path:
            seen.append(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_inside()
    assert Path(seen[0]).exists() == kept


def writes_and_removes(store: Store) -> None:
    args, path = store.backend_args, store.path("written/\u00e9.txt")
    if not store.writable:
        with pytest.raises(OSError, match=NOT_WRITABLE):
            fileio.put(b"x", path, args)
        return
    fileio.put(b"one", path, args)
    fileio.put_text("zw\u00f6lf", path, args)
    assert fileio.get_text(path, backend_args=args) == "zw\u00f6lf"
    fileio.dump({"ids": [1]}, store.path("written/x.json"), backend_args=args)
    assert fileio.load(store.path("written/x.json"), backend_args=args) == {"ids": [1]}
    fileio.dump({"ids": (1,)}, store.path("written/x.pkl"), backend_args=args)
    assert fileio.load(store.path("written/x.pkl"), backend_args=args) == {"ids": (1,)}
    for name in ("\u00e9.txt", "x.json", "x.pkl"):
        fileio.remove(store.path(f"written/{name}"), args)
    assert not fileio.exists(path, args)
    with pytest.raises(FileNotFoundError):
        fileio.remove(path, args)


def copies_files_and_trees(store: Store) -> None:
    args = store.backend_args
    if not (store.writable and store.listable):
        with pytest.raises(OSError, match=NOT_WRITABLE + "|cannot (list|copy)"):
            fileio.copytree(store.path("tree"), store.path("copies/tree"), args)
        return
    with tempfile.TemporaryDirectory() as folder:
        copies_to_and_from(store, Path(folder))
    fileio.rmtree(store.path("copies"), args)
    assert not fileio.exists(store.path("copies/q.bin"), args)


def copies_to_and_from(store: Store, here: Path) -> None:
    args = store.backend_args
    assert fileio.copyfile(store.path("plain.bin"), store.path("copies/p.bin"), args) == store.path("copies/p.bin")
    fileio.copytree(store.path("tree"), store.path("copies/tree"), args)
    assert fileio.get(store.path("copies/tree/deep/c.txt"), args) == b"c"
    with pytest.raises(FileExistsError, match="copies/tree"):
        fileio.copytree(store.path("tree"), store.path("copies/tree"), args)
    fileio.copytree_to_local(store.path("tree"), here / "tree", args)
    assert (here / "tree/deep/c.txt").read_bytes() == b"c"
    fileio.copytree_from_local(here / "tree", store.path("copies/back"), args)
    assert fileio.get(store.path("copies/back/b.json"), args) == b"{}"
    assert Path(fileio.copyfile_to_local(store.path("plain.bin"), here, args)).read_bytes() == CONTENTS["plain.bin"]
    fileio.copyfile_from_local(here / "plain.bin", store.path("copies/q.bin"), args)
    assert fileio.get(store.path("copies/q.bin"), args) == CONTENTS["plain.bin"]


CASES = [
    reads_bytes,
    reads_text,
    reads_an_empty_file,
    reads_a_unicode_name,
    reads_64_mib,
    says_that_a_key_is_missing,
    tells_what_exists,
    lists_with_recursion_and_suffix,
    lends_a_local_path_and_cleans_up,
    writes_and_removes,
    copies_files_and_trees,
]


def worker(store: Store, connection: Any) -> None:
    """A worker like a DataLoader's: it has the store's arguments, gets the numbers of cases, answers with errors."""
    while (number := connection.recv()) is not None:
        try:
            CASES[number](store)
        except BaseException:
            connection.send(traceback.format_exc())
        else:
            connection.send(None)
