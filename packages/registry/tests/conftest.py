"""Every test starts with root registries that know nothing, no default scope and no leftover modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eng.registry import Registry, isolated_registries


@pytest.fixture(autouse=True)
def fresh_registries() -> Iterator[None]:
    """Root registries without contents: the tests of this package know no other package."""
    with isolated_registries(empty=True):
        yield


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes an importable package from its files, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for stem, text in {"__init__": "", **files}.items():
            (folder / f"{stem}.py").write_text(text, encoding="utf-8")
        return folder

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def tree() -> dict[str, Registry]:
    """A root with two libraries below it."""
    root = Registry("model", scope="base")
    return {
        "base": root,
        "alpha": Registry("model", parent=root, scope="alpha"),
        "beta": Registry("model", parent=root, scope="beta"),
    }
