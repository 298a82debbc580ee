"""One suite for every backend, in this process, in a forked worker and in a spawned one."""

from __future__ import annotations

import pytest
from storage_cases import CONTENTS, Store
from storage_contract import StorageContract

pytestmark = pytest.mark.timeout(100)


class TestHTTP(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("requests")
        address, root = fixture("http_server")
        for name, content in CONTENTS.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return Store(f"{address}/files", {"retries": 0}, writable=False, listable=False)
