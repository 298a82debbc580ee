from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

pytestmark = pytest.mark.timeout(100)


class TestMemcached(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("pymemcache")
        args = {"backend": "memcached", "server_list_cfg": fixture("memcached_server"), "client_cfg": None}
        return fill(Store("data", args, listable=False))
