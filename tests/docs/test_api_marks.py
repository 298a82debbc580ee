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

__all__ = ["Given", "Pair", "load", "save", "watch"]

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

def watch(): ...
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
    added = (
        "1.1.0 sample.Given\n1.1.0 sample.Given.go\n1.0.0 sample.Pair\n1.2.0 sample.Pair.left\n"
        "1.0.0 sample.load\n1.2.0 sample.save\nnext sample.watch\n1.4.0 other.Pair\n"
    )
    (tmp_path / "packages/sample/added.txt").write_text(added)
    extension = script("api_pages").Versions(tmp_path / "packages")
    loader = griffe.GriffeLoader(search_paths=[tmp_path / "src"], extensions=griffe.Extensions(extension))
    module = loader.load("sample")
    objects = {
        path: module[path] for path in ("Pair", "Pair.left", "load", "save", "watch", "parts.Moved", "parts.Moved.go")
    }
    return {path: found.docstring.value if found.docstring else "" for path, found in objects.items()}


def test_a_name_says_which_version_brought_it_and_when_it_goes(docstrings: dict[str, str]) -> None:
    assert docstrings == {
        "Pair": "Two.",
        "Pair.left": "The left one.\n\n*New in version 1.2.0.*\n\nReturns:\n    It.",
        "load": "Reads.\n\n**Deprecated since 1.1, removed in 1.3: use `save`**",
        "save": "*New in version 1.2.0.*",
        "watch": "*New in the next version.*",
        "parts.Moved": "*New in version 1.1.0.*",
        "parts.Moved.go": "Goes.",
    }


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that was released as 1.0.0."""
    (tmp_path / "src/eng/sample").mkdir(parents=True)
    (tmp_path / "src/eng/sample/_version.py").write_text('__version__ = "1.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0 (2030-01-01)\n")
    (tmp_path / "added.txt").write_text("1.0.0 a.Lost\n1.0.0 a.Old\n1.0.0 a.Old.run\n")
    return tmp_path


def test_new_names_get_the_version_of_the_release_and_lost_ones_leave(script: Any, package: Path) -> None:
    api = script("public_api")
    now = ["a.New", "a.New.go(self)", "a.Old", "a.Old.run(self, fast=)"]
    api.update(package, now)
    first = {"a.Old": "1.0.0", "a.Old.run": "1.0.0"}
    assert api.read_added(package) == {**first, "a.New": "next", "a.New.go": "next"}
    assert (package / "api.txt").read_text().splitlines() == now

    (package / "src/eng/sample/_version.py").write_text('__version__ = "2.0.0"\n')
    api.release(package)
    api.update(package, [*now, "a.New.stop(self)"])  # a method of a class that has a version
    assert api.read_added(package) == {**first, "a.New": "2.0.0", "a.New.go": "2.0.0", "a.New.stop": "next"}


@pytest.mark.parametrize(
    ("now", "breaks"),
    [
        ("a.Old.run(self, fast)", False),
        ("a.Old.run(self, fast=)", False),
        ("a.Old.run(self, fast, slow=, kw deep=, **options)", False),
        ("a.Old.run(self, slow=, fast)", True),
        ("a.Old.run(self, fast, slow)", True),
        ("a.Old.run(self)", True),
        ("a.Old.run(self, kw fast)", True),
        ("a.Old.run", True),
        ("a.Old.walk(self, fast)", True),
    ],
)
def test_a_call_that_no_longer_fits_needs_a_fragment(now: str, breaks: bool, script: Any, package: Path) -> None:
    api = script("public_api")
    (package / "api.txt").write_text("a.Old\na.Old.run(self, fast)\na.Young\n")
    (package / "added.txt").write_text("1.0.0 a.Old\n1.0.0 a.Old.run\nnext a.Young\n")
    messages = api.unmarked_breaks(package, ["a.Old", now])
    line = f"{package.name}: gone or changed, without a fragment changes/*.breaking.md: a.Old.run(self, fast)"
    assert messages == [line] * breaks
    (package / "changes").mkdir()
    (package / "changes/walk.breaking.md").write_text("`run` is `walk`.\n")
    assert api.unmarked_breaks(package, ["a.Old", now]) == []


def test_each_name_has_a_line_with_a_version_that_exists(script: Any, package: Path) -> None:
    api = script("public_api")
    assert api.problems_of_added(package, ["a.Lost", "a.Old", "a.Old.run(self)"]) == []
    (package / "added.txt").write_text("next a.New\n1.0.0 a.Lost\n1.1.0 a.Old\n")
    assert api.problems_of_added(package, ["a.New", "a.Old", "a.Old.run(self)"]) == [
        f"{package.name}: added.txt has no line for a.Old.run",
        f"{package.name}: added.txt has a line for a.Lost, which is gone",
        f"{package.name}: added.txt dates a.Old 1.1.0; CHANGELOG.md has the releases 1.0.0",
    ]


def test_the_names_of_the_packages_have_versions(script: Any) -> None:
    api = script("public_api")
    snapshots = {path.parent: path.read_text(encoding="utf-8").splitlines() for path in api.PACKAGES.glob("*/api.txt")}
    assert len(snapshots) == 10
    assert [line for package, now in snapshots.items() for line in api.problems_of_added(package, now)] == []


def test_constructors_have_the_fields_of_their_dataclass(tmp_path: Path, script: Any) -> None:
    (tmp_path / "boxes.py").write_text(
        "from dataclasses import dataclass, field\n"
        "@dataclass\nclass Size:\n"
        "    width: int\n"
        "    names: list[str] = field(default_factory=lambda: ['a'])\n"
        "    height: int = 1\n"
        "class Box:\n"
        "    @takes_fields_of(Size)\n"
        "    def __init__(self, size: Size) -> None: ...\n"
    )
    extensions = griffe.load_extensions(script("field_signatures").FieldSignatures)
    box = griffe.load("boxes", search_paths=[tmp_path], extensions=extensions)["Box.__init__"]
    shown = [(parameter.name, str(parameter.annotation), parameter.default) for parameter in box.parameters][1:]
    assert shown == [("width", "int", None), ("names", "list[str]", "['a']"), ("height", "int", "1")]
