from __future__ import annotations

import pytest
from storage_contract import Upper, found_blocks

import eng.fileio as fileio


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ((1, Upper), "should be a string"),
        (("a", 1), "is registered as a class"),
        (("a", int), "must derive from BaseStorageBackend"),
    ],
    ids=["name", "object", "class"],
)
def test_bad_registrations_are_named(args, match):
    with pytest.raises(TypeError, match=match):
        fileio.register_backend(*args)


@pytest.mark.parametrize(
    ("uri", "args", "match"),
    [
        ("http://x", {"retires": 3}, "backend_args of HTTPBackend: .*'retires'; did you mean 'retries'"),
        ("x", {"backend": "lmdb"}, "backend_args of LmdbBackend: .*'db_path'.*known: db_path"),
        ("x", {"backend": "memcached", "client_cfg": None}, "backend_args of MemcachedBackend: .*server_list_cfg"),
        ("x", {"backend": "local", "retries": 3}, "backend_args of LocalBackend: .*'retries'; it takes none"),
    ],
    ids=["misspelt", "missing", "second-missing", "none"],
)
def test_options_that_a_backend_does_not_have_are_named(uri, args, match):
    with pytest.raises(TypeError, match=match):
        fileio.get(uri, args)


def blocks():
    return list(found_blocks())


@pytest.mark.parametrize("code", blocks())
def test_examples_in_documents_run(code, tmp_path, monkeypatch, registries):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "<document>", "exec"), names)
    assert set(names) - {"__builtins__"}
