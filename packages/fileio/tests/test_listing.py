from __future__ import annotations

import pytest
from storage_cases import CONTENTS, Store
from storage_contract import StorageContract

pytestmark = pytest.mark.timeout(100)


class TestLmdb(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        lmdb = pytest.importorskip("lmdb")
        path = str(tmp.mktemp("lmdb") / "db")
        with lmdb.open(path, map_size=1 << 28) as environment, environment.begin(write=True) as transaction:
            for name, content in CONTENTS.items():
                transaction.put(name.encode(), content)
        return Store("", {"backend": "lmdb", "db_path": path}, writable=False)
