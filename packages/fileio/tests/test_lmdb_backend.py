"""One database, any number of backends in any number of processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys

import pytest

import eng.fileio as fileio

lmdb = pytest.importorskip("lmdb")


def test_backend_stays_open_while_another_goes(database):
    first, second = fileio.LmdbBackend(database), fileio.LmdbBackend(database)
    assert first.get("k") == second.get("k") == b"v"
    del first
    gc.collect()
    assert second.get("k") == b"v"


def test_last_backend_closes_the_database(database):
    backend = fileio.LmdbBackend(database)
    assert backend.get("k") == b"v"
    del backend
    gc.collect()
    lmdb.open(database).close()  # LMDB refuses what is open already


def test_reader_sees_what_a_later_writer_puts(database):
    reader = fileio.LmdbBackend(database)
    assert reader.get("k") == b"v"
    writer = fileio.LmdbBackend(database, readonly=False)
    writer.put(b"new", "k")
    assert reader.get("k") == b"new"
    with pytest.raises(fileio.UnsupportedOperationError, match="is open for reading"):
        reader.put(b"x", "k")


def read(backend):
    return backend.get("k"), fileio.LmdbBackend(backend.db_path).get("k")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_with_their_own_and_inherited_backends(database, method):
    backend = fileio.LmdbBackend(database)
    assert backend.get("k") == b"v"
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(read, [backend] * 4).get(timeout=60) == [(b"v", b"v")] * 4
    assert backend.get("k") == b"v"


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse names that are no UTF-8")
def test_a_folder_whose_name_is_no_text(tmp_path):
    folder = os.path.join(tmp_path, os.fsdecode(b"caf\xe9"))
    fileio.LmdbBackend(folder, readonly=False).put(b"v", "k")
    assert fileio.LmdbBackend(folder).get("k") == b"v"
