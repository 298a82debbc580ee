"""``eng init``: a new project that trains at once."""

from __future__ import annotations

import keyword
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click

from .call import eng_words

TEMPLATE = Path(__file__).parent / "_init_template"
_SUFFIX = ".tmpl"
# Names of packages that an import inside the project would confuse with the project's own package.
_TAKEN = frozenset(sys.stdlib_module_names) | {"eng", "torch", "numpy", "tests", "config"}
# File names that differ from those in the template, besides the name of the project.
_RENAMED = {"gitignore": ".gitignore"}


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the project's Python package. Default: from DIR.")
def init(folder: Path, name: str | None) -> None:
    """Make a project in DIR that trains at once: config, dataset, model, metric, inferencer, test.

    DIR must be new or empty.
    """
    name = _package_name(name or folder.resolve().name, is_given=name is not None)
    _must_be_free(folder)
    files = write_project(folder, name)
    for file in files:
        click.echo(f"  {folder / file}")
    program, *arguments = eng_words()
    if os.sep in program:  # The printed command changes the folder first, so a relative path would be wrong.
        program = str(Path(program).absolute())
    train = shlex.join([program, *arguments, "train", "config.py"])
    click.echo(f"Train it:\n  cd {shlex.quote(str(folder))} && {train}")


def write_project(folder: Path, name: str) -> list[str]:
    """Writes the files of a new project; if writing fails, no file is left.

    The files are written into a temporary folder beside the target, and moved when all of them are complete.

    Args:
        folder: a new or empty folder.
        name: name of the project's Python package.

    Returns:
        The paths of the files, relative to `folder`.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        files = sorted(_write_file(source, unfinished, name) for source in TEMPLATE.rglob(f"*{_SUFFIX}"))
        folder.mkdir(exist_ok=True)
        for entry in unfinished.iterdir():
            entry.rename(folder / entry.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return files


def _write_file(source: Path, folder: Path, name: str) -> str:
    """Writes one file of a new project from its template; returns its path relative to ``folder``.

    Args:
        source: the template. ``project`` in its path and ``__project__`` in its text stand for the project's name.
        folder: folder into which the project is written.
        name: name of the project's Python package.
    """
    relative = source.relative_to(TEMPLATE)
    stem = relative.name.removesuffix(_SUFFIX)
    folders = [name if part == "project" else part for part in relative.parts[:-1]]
    target = folder.joinpath(*folders, _RENAMED.get(stem, stem).replace("project", name))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text(encoding="utf-8").replace("__project__", name), encoding="utf-8")
    return str(target.relative_to(folder))


def _package_name(text: str, is_given: bool) -> str:
    """Returns the name of the Python package: the user's name as it is, or one composed from the folder's name."""
    if is_given:
        name = text
    else:
        name = re.sub(r"\W+", "_", text.lower()).strip("_")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise click.ClickException(f"{text!r} gives no Python name: choose one by --name, such as --name shapes")
    if name in _TAKEN:
        raise click.ClickException(f"a project called {name!r} would hide or be hidden: choose another name by --name")
    return name


def _must_be_free(folder: Path) -> None:
    """Raises an error unless the folder of a new project does not exist yet or is empty."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise click.ClickException(f"{folder} is there already and is no folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty: name a new folder")
