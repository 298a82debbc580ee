from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

pytestmark = pytest.mark.timeout(100)


class TestPetrel(StorageContract):
    """Against the client's interface, as the real one is not public: its objects are files of a folder."""

    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store("petrel://bucket/data", {"conf_path": str(tmp.mktemp("petrel"))}))
