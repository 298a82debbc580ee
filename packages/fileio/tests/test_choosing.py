from __future__ import annotations

import doctest
import importlib
import pickle
import pkgutil
import socket
import subprocess
import sys
import zipfile

import pytest
from storage_contract import found_blocks

import eng.fileio as fileio
from eng.fileio.errors import MissingClientError, MissingKeyError, UnknownBackendError, UnsafeKeyError


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fileio.get("htps://b/k"), "no backend for 'htps://'; did you mean 'https'"),
        (lambda: fileio.get("x", {"backend": "lmbd"}), "no backend named 'lmbd'; did you mean 'lmdb'"),
        (lambda: fileio.FileClient("nothing"), "known: disk"),
    ],
    ids=["prefix", "name", "client"],
)
def test_unknown_backends_name_those_known(call, match):
    with pytest.raises(UnknownBackendError, match=match):
        call()


def test_keys_cannot_leave_a_zip(tmp_path):
    pytest.importorskip("fsspec")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.txt", "a")
    assert fileio.get(f"zip://a.txt::{tmp_path}/x.zip") == b"a"
    with pytest.raises(UnsafeKeyError, match="leaves the root of zip://"):
        fileio.get(f"zip://../../etc/passwd::{tmp_path}/x.zip")


def test_missing_keys_are_key_errors_too(tmp_path):
    pytest.importorskip("lmdb").open(str(tmp_path / "db")).close()
    with pytest.raises(KeyError, match="holds no key 'x'") as caught:
        fileio.get("x", {"backend": "lmdb", "db_path": str(tmp_path / "db")})
    assert isinstance(caught.value, MissingKeyError)
    with pytest.raises(FileNotFoundError, match="no LMDB database"):
        fileio.get("x", {"backend": "lmdb", "db_path": str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("module", "read", "match"),
    [
        (
            "lmdb",
            lambda: fileio.LmdbBackend(__file__).get("x"),
            r"LmdbBackend needs lmdb.*pip install lmdb",
        ),
        ("requests", lambda: fileio.get("http://x/y"), r"HTTPBackend needs requests.*pip install requests"),
        (
            "pymemcache",
            lambda: fileio.MemcachedBackend("h:1", None).get("x"),
            r"MemcachedBackend needs pymemcache.*pip install pymemcache",
        ),
        (
            "petrel_client",
            lambda: fileio.PetrelBackend().get("petrel://b/k"),
            "PetrelBackend needs petrel_client.*install petrel_client from your cluster",
        ),
        ("fsspec", lambda: fileio.get("memory://x"), r"FsspecBackend needs fsspec.*pip install fsspec"),
        ("s3fs", lambda: fileio.get("s3://b/k"), r"s3:// needs a package.*pip install s3fs"),
        ("ossfs", lambda: fileio.get("oss://b/k"), "oss:// needs a package.*pip install ossfs"),
        ("adlfs", lambda: fileio.get("az://b/k"), "az:// needs a package.*pip install adlfs"),
        ("paramiko", lambda: fileio.get("sftp://h/k"), "sftp:// needs a package.*paramiko"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_a_missing_client_says_how_to_install_it(monkeypatch, registries, module, read, match):
    registry = pytest.importorskip("fsspec.registry")
    # What fsspec imported before, it does not ask for again.
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setattr(registry, "registry", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    if module == "paramiko":
        monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
    with pytest.raises(MissingClientError, match=match):
        read()


def test_a_prefix_that_fsspec_might_know_says_how_to_install_that(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UnknownBackendError, match=r"no backend for 'dropbox://'.*pip install fsspec"):
        fileio.get("dropbox://x")


def test_a_memcached_that_does_not_answer_is_named():
    pytest.importorskip("pymemcache")
    with pytest.raises(ConnectionError, match="memcached 127.0.0.1:9: "):
        fileio.get("x", {"backend": "memcached", "server_list_cfg": "127.0.0.1:9", "client_cfg": None})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        options = {"backend": "memcached", "server_list_cfg": address, "client_cfg": {"timeout": 0.2}}
        with pytest.raises(TimeoutError, match=f"memcached {address}: timed out"):
            fileio.get("x", options)


def test_pickled_backends_carry_their_arguments_only(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "db")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"k", b"v")
    backend = fileio.LmdbBackend(str(tmp_path / "db"))
    assert backend.get("k") == b"v"
    text = pickle.dumps(backend)
    assert len(text) < 500
    assert pickle.loads(text).db_path == backend.db_path


def test_import_brings_no_client():
    script = (
        "import sys, eng.fileio\n"
        "print([m for m in ('torch', 'numpy', 'yaml', 'requests', 'fsspec', 'lmdb', 'pymemcache') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def modules():
    return sorted(info.name for info in pkgutil.walk_packages(fileio.__path__, "eng.fileio."))


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name, registries):
    pytest.importorskip("fsspec")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_document_checks_itself():
    pages = {}
    for each in found_blocks():
        pages.setdefault(each.id.rpartition("-")[0], []).append(each.values[0])
    assert "README.md" in pages and all("assert " in "".join(codes) for codes in pages.values())
