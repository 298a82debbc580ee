from __future__ import annotations

import zipfile

import pytest
from storage_cases import CONTENTS, Store
from storage_contract import StorageContract

pytestmark = pytest.mark.timeout(100)


class TestZip(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        pytest.importorskip("fsspec")
        archive = tmp.mktemp("zip") / "x.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in CONTENTS.items():
                file.writestr(name, content)
        return Store(f"zip://::{archive}", writable=False)
