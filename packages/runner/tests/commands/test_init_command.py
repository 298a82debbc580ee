"""`eng init`: a project whose parts are right before anybody changes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from eng.runner._init_command import TEMPLATE, init

FILES = [
    ".gitignore",
    "README.md",
    "config.py",
    "my_shapes/__init__.py",
    "my_shapes/dataset.py",
    "my_shapes/inferencer.py",
    "my_shapes/metric.py",
    "my_shapes/model.py",
    "tests/test_my_shapes.py",
]


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_files_under_the_name_of_the_folder(here: Path, call) -> None:
    status, said = call(init, "sub/My-Shapes")
    assert status == 0
    assert files_in(here / "sub" / "My-Shapes") == FILES
    assert re.search(r"^  cd sub/My-Shapes && .*train config\.py$", said, re.M)
    assert not [path for path in files_in(here) if "__project__" in (here / path).read_text()]
    assert [path.name for path in (here / "sub").iterdir()] == ["My-Shapes"]


def test_an_empty_folder_that_is_there_is_filled(here: Path, call) -> None:
    call(init, ".", "--name", "my_shapes")
    assert files_in(here) == FILES


def test_tests_of_the_project_pass(here: Path, call) -> None:
    call(init, "my_shapes_of_init_test")
    folder = here / "my_shapes_of_init_test"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 passed" in done.stdout


def test_the_template_ships_with_the_package() -> None:
    assert len(list(TEMPLATE.rglob("*.tmpl"))) == len(FILES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("full",), "full is not empty"),
        (("file",), "is there already and is no folder"),
        (("123",), "'123' gives no Python name"),
        (("new", "--name", "a-b"), "'a-b' gives no Python name"),
        (("new", "--name", "class"), "'class' gives no Python name"),
        (("random",), "'random' would hide"),
    ],
    ids=["not empty", "a file", "digits", "dash", "keyword", "standard library"],
)
def test_calls_that_cannot_work_change_nothing(here: Path, call, words, message: str) -> None:
    (here / "full").mkdir()
    (here / "full" / "mine.txt").touch()
    (here / "file").touch()
    with pytest.raises(click.ClickException, match=message):
        call(init, *words)
    assert files_in(here) == ["file", "full/mine.txt"]
    assert sorted(path.name for path in here.iterdir()) == ["file", "full"]
