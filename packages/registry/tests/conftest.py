"""Every test starts with root registries that know nothing, no default scope and no leftover modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eng.registry import DefaultScope, Registry, _root, _scope


@pytest.fixture(autouse=True)
def fresh_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root registries without contents: the tests of this package know no other package."""
    for root in _root.ROOT_REGISTRIES:
        monkeypatch.setattr(root, "_module_dict", {})
        monkeypatch.setattr(root, "_children", {})
        monkeypatch.setattr(root, "_locations", [])
        monkeypatch.setattr(root, "_imported", False)
        monkeypatch.setattr(root, "_synonyms", frozenset({root.scope}))
        monkeypatch.setattr(root, "_unknown_scopes", set())


@pytest.fixture(autouse=True)
def fresh_default_scope(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(DefaultScope, "_instance_dict", type(DefaultScope._instance_dict)())
    token = _scope._CURRENT.set(None)
    yield
    _scope._CURRENT.reset(token)


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
