from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

pytestmark = pytest.mark.timeout(100)


class TestWritableLmdb(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("lmdb")
        path = str(tmp.mktemp("lmdb") / "db")
        return fill(Store("", {"backend": "lmdb", "db_path": path, "readonly": False, "map_size": 1 << 28}))
