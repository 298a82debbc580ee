"""Reads the summary of a command from its source file. Importing all commands for the help text would import torch."""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path


def summary_of(entry_point: EntryPoint) -> str | None:
    """Returns the first paragraph of the docstring of the function that an entry point names.

    The docstring is read from the source file without importing it. Returns None if the source file cannot be read, or
    if it contains no such function or docstring.
    """
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
    """Returns the source file of a module; None if the module is not found.

    Unlike `importlib.util.find_spec`, the function does not import the parent packages of the module.
    """
    spec, search_folders = None, None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), search_folders)
        if spec is None:
            return None
        search_folders = list(spec.submodule_search_locations or ())
    if spec is not None and spec.origin and spec.has_location:
        return Path(spec.origin)
    return None
