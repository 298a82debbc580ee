"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path

import pytest
from storage_cases import CASES, CONTENTS, Store

import eng.fileio as fileio


class Upper(fileio.BaseStorageBackend):
    def get(self, filepath):
        return filepath.upper().encode()

    def get_text(self, filepath, encoding="utf-8"):
        return filepath.upper()


class StorageContract(ABC):
    """What every backend does. A subclass gives a Store that holds CONTENTS."""

    @staticmethod
    @abstractmethod
    def make_store(fixture, tmp) -> Store:
        """`fixture` gives a fixture by name, `tmp` is pytest's factory of folders."""

    @pytest.mark.parametrize("number", range(len(CASES)), ids=[case.__name__ for case in CASES])
    def test_case(self, run, number):
        assert run(number) is None


def found_blocks():
    package = Path(__file__).parents[2]
    pages = [package / "README.md", package.parents[1] / "docs" / "fileio.md"]
    for page in pages:
        if page.is_file():
            for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S), 1):
                yield pytest.param(code, id=f"{page.name}-{number}")


def fill(store: Store) -> Store:
    for name, content in CONTENTS.items():
        fileio.put(content, store.path(name), store.backend_args)
    return store
