from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

pytestmark = pytest.mark.timeout(100)


class TestLocal(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store(str(tmp.mktemp("local"))))
