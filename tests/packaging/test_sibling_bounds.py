"""No package imports a name of a sibling that the oldest sibling of its range lacks, as ``added.txt`` dates the names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
RANGE = re.compile(r'"(eng(?:-\w+)?)(?:\[[^\]]*\])?>=([\d.]+),<[\d.]+"')


def as_numbers(version: str) -> tuple[int, ...]:
    return (*map(int, version.split(".")), 0, 0)[:3]


def lower_bounds(package: Path) -> dict[str, tuple[int, ...]]:
    """The lowest version of each sibling, by its folder, that a package allows."""
    bounds: dict[str, tuple[int, ...]] = {}
    for sibling, low in RANGE.findall((package / "pyproject.toml").read_text(encoding="utf-8")):
        folder = sibling.removeprefix("eng-")
        bounds[folder] = min(as_numbers(low), bounds.get(folder, as_numbers(low)))
    return bounds


def dates(package: Path) -> dict[str, tuple[int, ...]]:
    """The release that brought each public name; those that no release has get theirs with it."""
    lines = [line.split() for line in (package / "added.txt").read_text(encoding="utf-8").splitlines()]
    return {name: as_numbers(version) for version, name in lines if version != "next"}


def used_names(source: str) -> Iterator[tuple[int, str]]:
    """The dotted names of eng that a module imports, and those that it reads from the modules that it imports, with their lines.

    A name from within a sibling's package, ``eng.dist.group.all_reduce``, is also given as ``eng.dist.all_reduce``.
    """
    tree = ast.parse(source)
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "eng":
            for alias in node.names:
                path = f"{node.module}.{alias.name}"
                modules[alias.asname or alias.name] = path
                yield node.lineno, path
                yield node.lineno, ".".join([*path.split(".")[:2], alias.name])
        elif isinstance(node, ast.Import):
            modules |= {
                alias.asname: alias.name for alias in node.names if alias.asname and alias.name.startswith("eng.")
            }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            start, _, members = ast.unparse(node).partition(".")
            if start == "eng" or start in modules:
                yield node.lineno, f"{modules.get(start, start)}.{members}"


def too_new(package: Path, packages: list[Path]) -> list[str]:
    """The uses of a sibling's name that the lower bound of its range lacks."""
    bounds = lower_bounds(package)
    siblings = {path.name: dates(path) for path in packages if path.name in bounds}
    messages = []
    for file in sorted((package / "src").rglob("*.py")):
        for line, name in used_names(file.read_text(encoding="utf-8")):
            for sibling, since in siblings.items():
                if since.get(name, (0,)) > bounds[sibling]:
                    version, bound = (".".join(map(str, numbers)) for numbers in (since[name], bounds[sibling]))
                    at = file.relative_to(package).as_posix()
                    messages.append(f"{at}:{line}: {name} is of {sibling} {version}, pyproject.toml allows {bound}")
    return sorted(set(messages))


@pytest.fixture
def two_packages(tmp_path: Path) -> list[Path]:
    """`user` allows `dist` from 1.0 on, whose names came with several releases."""
    user, dist = tmp_path / "user", tmp_path / "dist"
    for package in (user, dist):
        (package / "src").mkdir(parents=True)
    (user / "pyproject.toml").write_text('dependencies = ["eng-dist[all]>=1.0,<2"]\n')
    (dist / "pyproject.toml").write_text("")
    (dist / "added.txt").write_text(
        "1.0.0 eng.dist.Old\n1.1.0 eng.dist.New\n1.1.0 eng.dist.Old.stop\nnext eng.dist.Open\n"
    )
    return [user, dist]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from eng.dist import Old, New", ["New"]),
        ("def f():\n    from eng.dist import New as Renamed", ["New"]),
        ("from eng.dist.inner import New", ["New"]),
        ("from eng import dist\ndist.New()", ["New"]),
        ("import eng.dist\nx: eng.dist.New", ["New"]),
        ("import eng.dist as d\nd.New(1)", ["New"]),
        ("from eng.dist import Old\nOld.stop()", ["Old.stop"]),
        ("from eng.dist import Old, Open\nfrom other import New\nNew.stop", []),
    ],
)
def test_each_way_to_import_a_name_is_seen(two_packages: list[Path], source: str, names: list[str]) -> None:
    user = two_packages[0]
    (user / "src/a.py").write_text(source)
    line = source.count("\n") + 1  # the last one
    text = "src/a.py:{}: eng.dist.{} is of dist 1.1.0, pyproject.toml allows 1.0.0"
    assert too_new(user, two_packages) == [text.format(line, name) for name in names]
    (user / "pyproject.toml").write_text('dependencies = ["eng-dist>=1.1,<2"]\n')
    assert too_new(user, two_packages) == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_oldest_siblings_have_the_names_that_a_package_imports(package: Path) -> None:
    assert too_new(package, PACKAGES) == []
