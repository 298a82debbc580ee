from __future__ import annotations

import pytest
from storage_cases import Store
from storage_contract import StorageContract, fill

from eng.fileio import LocalBackend

pytestmark = pytest.mark.timeout(100)


class TestLocal(StorageContract):
    @staticmethod
    def make_store(fixture, tmp):
        return fill(Store(str(tmp.mktemp("local"))))


def test_a_link_to_a_directory_above_is_listed_and_not_entered(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.txt").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "other").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    files = LocalBackend().list_dir_or_file(tmp_path, list_dir=False, recursive=True)
    assert sorted(files) == ["a/b/x.txt", "other/x.txt"]
