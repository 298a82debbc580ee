"""Every test starts with root registries that know nothing, no default scope and no leftover modules."""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eng.registry import (
    MODELS,
    Registry,
    isolated_registries,
)

sys.path.insert(0, str(Path(__file__).parent))  # the tests import their helpers by name
from check_parts import (
    Chooses,
    Exact,
    LeavesOut,
    Net,
    Renames,
    Swallows,
)


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


@pytest.fixture
def tools() -> Registry:
    registry = Registry("tool", scope="vetting")
    registry.register_module(module=collections.Counter)
    return registry


@pytest.fixture
def nets() -> Registry:
    registry = Registry("model", scope="base")

    @registry.register_module()
    class ResNet:
        def __init__(self, depth: int) -> None:
            if depth not in (18, 50):
                raise ValueError(f"no depth {depth}")
            self.depth = depth

    @registry.register_module()
    class Detector:
        def __init__(self, backbone: dict, heads: list = ()) -> None:
            self.backbone = registry.build(backbone)
            self.heads = [registry.build(dict(head)) for head in heads]

    return registry


@pytest.fixture
def parts() -> None:
    for part in (Net, Exact, Renames, Swallows, LeavesOut, Chooses):
        part.__module__ = "library_of_tests"  # this file, with its slips, is no source of the library
        MODELS.register_module(module=part)
