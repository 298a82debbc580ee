from __future__ import annotations

import copy
import os
import pickle

import eng.fileio as fileio


def spellings(path):
    link = f"{path}-link"
    os.symlink(path, link)
    return [path, f"{path}/", os.path.relpath(path), link]


def test_several_backends_read_one_database(database):
    backends = [fileio.LmdbBackend(path) for path in spellings(database)]
    backends += [copy.deepcopy(backends[0]), pickle.loads(pickle.dumps(backends[0]))]
    backends.append(fileio.LmdbBackend(database, readahead=True))
    assert [backend.get("k") for backend in backends] == [b"v"] * 7
    client = fileio.FileClient("lmdb", db_path=database)
    assert client.get("k") == b"v"
    assert fileio.get("k", backend_args={"backend": "lmdb", "db_path": database}) == b"v"
