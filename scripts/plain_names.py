"""Finds variables, arguments and functions whose name says nothing, such as `found` or `kind`, in all packages.

`nox -s lint` runs it; ``python scripts/plain_names.py FOLDER...`` looks into some folders only.

A name is a noun of the field (`listener`, `grad_norm`), and a function's a verb. `other` stays where Python's own
protocols use it, as in ``__eq__``; fields of public classes are not looked at.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

EMPTY_NAMES = frozenset(
    [
        "each",
        "found",
        "given",
        "kept",
        "kind",
        "like",
        "made",
        "near",
        "one",
        "own",
        "place",
        "rest",
        "said",
        "taken",
        "taker",
        "thing",
        "told",
        "what",
        "whole",
        "word",
        "words",
    ]
)


def bindings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, argument and function that a module binds, but for fields of classes."""
    fields = {
        id(item.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name


def main(folders: list[str]) -> int:
    """Prints each empty name with its file and line; 1 where there is one."""
    count = 0
    for folder in folders or ["packages/*/src"]:
        for file in sorted(Path().glob(f"{folder}/**/*.py")):
            for line, name in bindings(ast.parse(file.read_text(encoding="utf-8"))):
                if name.lstrip("_") in EMPTY_NAMES:
                    print(f"{file}:{line}: the name {name!r} says nothing; name what it holds or does")
                    count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
