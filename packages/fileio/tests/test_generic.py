from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

from eng.fileio import get_file_backend
from eng.fileio.backends import LmdbBackend
from eng.fileio.errors import UnsafeKeyError

pytestmark = pytest.mark.timeout(100)


class TestWritableLmdb(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("lmdb")
        path = str(tmp.mktemp("lmdb") / "db")
        return fill(Store("", {"backend": "lmdb", "db_path": path, "readonly": False, "map_size": 1 << 28}))


def storage_of(folder: Path, storage: str, keys: list[str]) -> tuple[Any, str]:
    """A storage that holds keys, and the address of its folder ``a/b``."""
    if storage == "lmdb":
        pytest.importorskip("lmdb")
        backend = LmdbBackend(str(folder / "db"), readonly=False, map_size=1 << 20)
        for key in keys:
            with backend._begin_write() as transaction:
                transaction.put(key.encode(), b"text")
        return backend, "a/b"
    pytest.importorskip("fsspec")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for key in keys:
            archive.writestr(key, b"text")
    source = f"zip://a/b::{folder / 'a.zip'}"
    return get_file_backend(source), source


@pytest.mark.parametrize("storage", ["lmdb", "zip"])
def test_keys_with_dots_do_not_lead_out_of_a_local_copy(tmp_path, storage):
    keys = ["a/b/../../escaped.txt", "escaped.txt", "a/b/good.txt"]
    backend, source = storage_of(tmp_path, storage, keys)
    with pytest.raises(UnsafeKeyError, match="escaped.txt' leaves the root of"):
        backend.copytree_to_local(source, tmp_path / "folder/copy")
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("storage", ["lmdb", "zip"])
def test_keys_with_two_slashes_do_not_lead_out_of_a_local_copy(tmp_path, storage):
    keys = [f"a/b/{tmp_path}/escaped.txt", f"a/b{tmp_path}/escaped.txt", "a/b/good.txt"]
    assert "//" in keys[0]
    backend, source = storage_of(tmp_path, storage, keys)
    target = tmp_path / "folder/copy"
    backend.copytree_to_local(source, target)
    assert (target / "good.txt").read_bytes() == b"text"
    assert [path for path in tmp_path.rglob("*.txt") if not path.is_relative_to(target)] == []
