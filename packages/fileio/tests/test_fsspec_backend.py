from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

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
