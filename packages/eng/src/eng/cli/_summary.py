"""What a command is for, read from its source: importing all of them would bring torch in to print a help text."""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path


def summary_of(entry_point: EntryPoint) -> str | None:
    """The first line of the docstring behind `entry_point`, without importing anything; None where it cannot be read."""
    file = source_of(entry_point.module)
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point.attr:
            return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ") or None
    return None


def source_of(module: str) -> Path | None:
    """The file of `module`. Unlike `importlib.util.find_spec`, it does not import the packages above it."""
    spec, places = None, None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    if spec is not None and spec.origin and spec.has_location:
        return Path(spec.origin)
    return None
