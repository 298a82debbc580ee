from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

from eng import fileio

pytestmark = pytest.mark.timeout(100)


class TestFsspecFile(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("fsspec")
        return fill(Store(f"file://{tmp.mktemp('fsspec')}"))


class TestS3(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store("s3://bucket/data", fixture("s3_options")))


def test_a_file_system_that_fsspec_does_not_cache_is_made_once_with_all_options():
    fsspec = pytest.importorskip("fsspec")
    made = []

    class Unshared(fsspec.get_filesystem_class("memory")):
        """As FTP, whose constructor logs in."""

        protocol, cachable = "unshared", False

        def __init__(self, **options):
            super().__init__(**options)
            made.append(options)

        @staticmethod
        def _get_kwargs_from_urls(url):
            return {"username": "alice"}

    fsspec.register_implementation("unshared", Unshared, clobber=True)
    backend = fileio.FsspecBackend(encoding="latin-1", username="bob")
    assert [backend.exists("unshared://nothing") for _ in range(3)] == [False] * 3
    assert [(options["username"], options["encoding"]) for options in made] == [("bob", "latin-1")]
