from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from eng.cli._summary import source_of, summary_of


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a_library_of_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise OSError('imported')\n")
    (folder / "commands.py").write_text(
        'import torch\ndef told():\n    """Tell what\n    it does.\n\n    More."""\ndef silent(): ...\n'
    )
    (folder / "broken.py").write_text("def (\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("commands:told", "Tell what it does."),
        ("commands:silent", None),
        ("commands:absent", None),
        ("broken:told", None),
        ("no_such_module:told", None),
    ],
)
def test_summary_is_read_without_importing(library: Path, target: str, words: str | None) -> None:
    entry = EntryPoint("x", f"{library.name}.{target}", "eng.commands")
    assert summary_of(entry) == words


def test_source_of_a_module(library: Path) -> None:
    assert source_of(f"{library.name}.commands") == library / "commands.py"
    assert source_of("no_such_package.x") is None
    assert source_of("sys") is None
