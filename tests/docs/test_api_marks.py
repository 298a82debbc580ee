"""Since when a public name exists, and how long: ``added.txt`` of the packages and the marks on the API pages."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

griffe = pytest.importorskip("griffe", reason="nox -s docs installs it and runs these tests")
SCRIPTS = Path(__file__).parents[2] / "scripts"
SOURCE = '''
from typing_extensions import deprecated
from sample.parts import Moved as Given

__all__ = ["Given", "Pair", "load", "save"]

class Pair:
    """Two."""
    def left(self):
        """The left one.

        Returns:
            It.
        """

@deprecated("deprecated since 1.1, removed in 1.3: use `save`")
def load(): "Reads."

def save(): ...
'''


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture
def docstrings(tmp_path: Path, script: Any) -> dict[str, str]:
    """Docstrings of a package as the API pages get them, by path."""
    package = tmp_path / "src/sample"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SOURCE)
    (package / "parts.py").write_text("class Moved:\n    def go(self): 'Goes.'\n")
    (tmp_path / "packages/sample").mkdir(parents=True)
    added = "1.1.0 sample.Given\n1.2.0 sample.Pair.left\n1.2.0 sample.save\n1.4.0 other.Pair\n"
    (tmp_path / "packages/sample/added.txt").write_text(added)
    extension = script("api_pages").Versions(tmp_path / "packages")
    loader = griffe.GriffeLoader(search_paths=[tmp_path / "src"], extensions=griffe.Extensions(extension))
    module = loader.load("sample")
    objects = {path: module[path] for path in ("Pair", "Pair.left", "load", "save", "parts.Moved", "parts.Moved.go")}
    return {path: found.docstring.value if found.docstring else "" for path, found in objects.items()}


def test_a_name_says_which_version_brought_it_and_when_it_goes(docstrings: dict[str, str]) -> None:
    assert docstrings == {
        "Pair": "Two.",
        "Pair.left": "The left one.\n\n*New in version 1.2.0.*\n\nReturns:\n    It.",
        "load": "Reads.\n\n**Deprecated since 1.1, removed in 1.3: use `save`**",
        "save": "*New in version 1.2.0.*",
        "parts.Moved": "*New in version 1.1.0.*",
        "parts.Moved.go": "Goes.",
    }


def test_new_names_get_the_next_version_and_lost_ones_leave(script: Any) -> None:
    before = ["a.Old", "a.Old.run(self)", "a.Lost"]
    now = ["a.New", "a.New.go(self)", "a.Old", "a.Old.run(self, fast=)", "a.Old.stop(self)"]
    added = script("public_api").with_new_names({"a.Lost": "1.1.0", "a.Old": "1.1.0"}, before, now, "1.2.0")
    assert added == {"a.Old": "1.1.0", "a.New": "1.2.0"}
    assert script("public_api").with_new_names({}, before, now, "1.2.0") == {"a.New": "1.2.0", "a.Old.stop": "1.2.0"}
    assert script("public_api").with_new_names({}, before, now, None) == {}


@pytest.mark.parametrize(
    ("changelog", "expected"),
    [
        ("# Changelog\n\n## 1.1.0 (2030-01-01)\n\n## 1.0.0\n", "1.2.0"),
        ("# Changelog\n\n## 1.0.0\n", "1.1.0"),
        ("# Changelog\n\n## Unreleased\n", None),
    ],
)
def test_the_next_version_is_behind_the_newest_release(
    tmp_path: Path, script: Any, changelog: str, expected: str | None
) -> None:
    (tmp_path / "src/eng/sample").mkdir(parents=True)
    (tmp_path / "src/eng/sample/_version.py").write_text('__version__ = "1.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    assert script("public_api").next_version(tmp_path) == expected
