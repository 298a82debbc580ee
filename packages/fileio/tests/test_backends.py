"""One suite for every backend, in this process, in a forked worker and in a spawned one."""

from __future__ import annotations

import multiprocessing
import warnings
import zipfile
from abc import ABC, abstractmethod

import pytest
import storage_cases
from storage_cases import CASES, CONTENTS, Store

import eng.fileio as fileio

pytestmark = pytest.mark.timeout(100)


@pytest.fixture(scope="class")
def store(request):
    return request.cls.make_store(request.getfixturevalue, request.getfixturevalue("tmp_path_factory"))


@pytest.fixture(scope="class", params=["main", "fork", "spawn"])
def run(request, store):
    """Runs the case with that number; a worker gives the traceback of one that failed."""
    if request.param == "main":
        yield lambda number: CASES[number](store)
        return
    fileio.get(store.path("plain.bin"), store.backend_args)  # a client is open here before the worker starts
    context = multiprocessing.get_context(request.param)
    ours, theirs = context.Pipe()
    process = context.Process(target=storage_cases.worker, args=(store, theirs), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about is what is tested
        process.start()

    def ask(number):
        ours.send(number)
        assert ours.poll(60), f"the {request.param}ed worker does not answer"
        return ours.recv()

    yield ask
    ours.send(None)
    process.join(10)
    if process.is_alive():
        process.kill()


class StorageContract(ABC):
    """What every backend does. A subclass gives a Store that holds CONTENTS."""

    @staticmethod
    @abstractmethod
    def make_store(fixture, tmp) -> Store:
        """`fixture` gives a fixture by name, `tmp` is pytest's factory of folders."""

    @pytest.mark.parametrize("number", range(len(CASES)), ids=[case.__name__ for case in CASES])
    def test_case(self, run, number):
        assert run(number) is None


def fill(store: Store) -> Store:
    for name, content in CONTENTS.items():
        fileio.put(content, store.path(name), store.backend_args)
    return store


class TestLocal(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store(str(tmp.mktemp("local"))))


class TestFsspecFile(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("fsspec")
        return fill(Store(f"file://{tmp.mktemp('fsspec')}"))


class TestS3(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store("s3://bucket/data", fixture("s3_options")))


class TestZip(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("fsspec")
        archive = tmp.mktemp("zip") / "x.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in CONTENTS.items():
                file.writestr(name, content)
        return Store(f"zip://::{archive}", writable=False)


class TestHTTP(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("requests")
        address, root = fixture("http_server")
        for name, content in CONTENTS.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return Store(f"{address}/files", {"retries": 0}, writable=False, listable=False)


class TestLmdb(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        lmdb = pytest.importorskip("lmdb")
        path = str(tmp.mktemp("lmdb") / "db")
        with lmdb.open(path, map_size=1 << 28) as environment, environment.begin(write=True) as transaction:
            for name, content in CONTENTS.items():
                transaction.put(name.encode(), content)
        return Store("", {"backend": "lmdb", "db_path": path}, writable=False)


class TestWritableLmdb(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("lmdb")
        path = str(tmp.mktemp("lmdb") / "db")
        return fill(Store("", {"backend": "lmdb", "db_path": path, "readonly": False, "map_size": 1 << 28}))


class TestMemcached(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("pymemcache")
        args = {"backend": "memcached", "server_list_cfg": fixture("memcached_server"), "client_cfg": None}
        return fill(Store("data", args, listable=False))


class TestPetrel(StorageContract):
    """Against the client's interface, as the real one is not public: its objects are files of a folder."""

    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store("petrel://bucket/data", {"conf_path": str(tmp.mktemp("petrel"))}))
