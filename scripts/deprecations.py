"""Holds the promise of a deprecation: ``deprecations.py`` reads the source of all packages.

A part that will go is decorated with ``typing_extensions.deprecated`` and a message of this form, which a caller sees as a
DeprecationWarning and a type checker as a struck-out name::

    @deprecated("deprecated since 1.2, removed in 1.4: use `load_checkpoint(path)` instead")

Between the two versions lie at least two minor releases or one major one. When a package reaches the version of the removal,
the part must be gone.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).parents[1] / "packages"
FORM = re.compile(r"deprecated since (\d+)\.(\d+), removed in (\d+)\.(\d+): use .+")


@dataclass(frozen=True)
class Deprecation:
    """A decorated class or function.

    Attributes:
        location: file and line.
        name: of the class or function.
        message: what the decorator says; None where it is no literal.
    """

    location: str
    name: str
    message: str | None


def deprecations(source: str, file: str) -> Iterator[Deprecation]:
    """All parts of a module that are decorated with ``deprecated(...)``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("deprecated"):
                text = decorator.args[0] if decorator.args else None
                is_literal = isinstance(text, ast.Constant) and isinstance(text.value, str)
                yield Deprecation(f"{file}:{node.lineno}", node.name, text.value if is_literal else None)


def problem(deprecation: Deprecation, version: tuple[int, int]) -> str | None:
    """What is wrong with a deprecation in a package of this version (major, minor)."""
    match = FORM.fullmatch(deprecation.message or "")
    where = f"{deprecation.location} {deprecation.name}"
    if match is None:
        return (
            f"{where}: write the message as 'deprecated since 1.2, removed in 1.4: use X', not {deprecation.message!r}"
        )
    since, removal = (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))
    if removal[0] == since[0] and removal[1] < since[1] + 2:
        return f"{where}: leave two minor releases between {since} and the removal in {removal}"
    if version >= removal:
        return f"{where}: version {version[0]}.{version[1]} is out; remove it now"
    return None


def main() -> int:
    problems = []
    for package in sorted(path for path in PACKAGES.iterdir() if (path / "pyproject.toml").exists()):
        (version_file,) = package.glob("src/eng/*/_version.py")
        major, minor = re.search(r'"(\d+)\.(\d+)', version_file.read_text(encoding="utf-8")).groups()
        for path in sorted(package.glob("src/**/*.py")):
            listed = deprecations(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGES)))
            problems += [problem(deprecation, (int(major), int(minor))) for deprecation in listed]
    messages = [message for message in problems if message]
    print("\n".join(messages) or f"{len(problems)} deprecations, none overdue")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
