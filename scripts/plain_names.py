"""Finds names that say nothing, such as `found` or `kind`, and long functions without a docstring, in all packages.

`nox -s lint` runs it; ``python scripts/plain_names.py FOLDER...`` looks into some folders only.

A name is a noun of the field (`listener`, `grad_norm`), and a function's a verb. `other` stays where Python's own
protocols use it, as in ``__eq__``; fields of public classes are not looked at. A function of eight lines or more has a
docstring, also a private or nested one; ``__init__`` has none, because the docstring of its class names the arguments.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SHORTEST_WITH_DOCSTRING = 8
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


def functions_without_docstring(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each function of eight lines or more that has no docstring; decorators do not count as lines."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name == "__init__":
            continue
        num_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if num_lines >= SHORTEST_WITH_DOCSTRING and ast.get_docstring(node) is None:
            yield node.lineno, node.name


def main(folders: list[str]) -> int:
    """Prints each empty name and each long function without a docstring; returns 1 if there is one, else 0."""
    count = 0
    for folder in folders or ["packages/*/src"]:
        for file in sorted(Path().glob(f"{folder}/**/*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for line, name in bindings(tree):
                if name.lstrip("_") in EMPTY_NAMES:
                    print(f"{file}:{line}: the name {name!r} says nothing; name what it holds or does")
                    count += 1
            for line, name in functions_without_docstring(tree):
                print(f"{file}:{line}: {name}() has {SHORTEST_WITH_DOCSTRING} lines or more and no docstring")
                count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
