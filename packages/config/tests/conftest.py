"""Every test works in a folder of its own and leaves the environment as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eng.config import Config

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENG_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files by name and gives the path of the last one."""

    def writer(**files: str) -> Path:
        path = tmp_path
        for name, text in files.items():
            stem, _, extension = name.rpartition("_")
            path = tmp_path.joinpath(*stem.split("__")).with_suffix(f".{extension}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return path

    return writer


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """An importable package that fails when it is imported, so that finding its configs must not import it."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def writer(name: str, **files: str) -> Path:
        folder = tmp_path / "site" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('imported while a config was read')", encoding="utf-8")
        for path, text in files.items():
            file = folder.joinpath(*path.split("__")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return folder

    return writer


@pytest.fixture
def cfg(write: Callable[..., Path]) -> Config:
    return Config.fromfile(
        write(
            deep_py="optimizer = dict(\n    type='SGD',\n    lr=0.1,\n    groups=[\n        dict(a=1),\n        dict(a=2),\n    ],\n)\n",
            base_py="_base_ = 'deep.py'\n\noptimizer = dict(lr=0.2)\nmodel = {\n    'depth': 50,\n    'neck': {\n        'n': 1}}\n",
            run_py="_base_ = './base.py'\noptimizer = dict(lr=0.3)\nsize = 3\npipeline = [\n    dict(type='Load'),\n    dict(\n        type='Crop',\n        size=size)]\n"
            "loader = dict(\n    pipeline=pipeline)\nmodel = dict(neck=dict(_delete_=True,\n    m=2))\n",
        ).name
    )
