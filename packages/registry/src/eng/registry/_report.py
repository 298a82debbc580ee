"""Counts and lists the classes that are registered in a tree of registries."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from . import _root
from ._registry import Registry
from ._tree import tree_below

__all__ = ["count_registered_modules", "traverse_registry_tree"]

_FILE_NAME = "modules_statistic_results.json"


def traverse_registry_tree(registry: Registry, verbose: bool = True) -> list[dict[str, Any]]:
    """Lists what is registered in every registry of a tree, the root first.

    Args:
        registry: any registry of the tree.
        verbose: whether to print a line for each registry as well.

    Returns:
        For each registry a dict with ``num_modules``, ``scope``, and for each folder of modules the registered names.
    """
    counts = [_count(node) for node in tree_below(registry.root)]
    if verbose:
        _print(f"{count['num_modules']} in registry {registry.name!r} of scope {count['scope']!r}" for count in counts)
    return counts


def count_registered_modules(save_path: str | None = None, verbose: bool = True) -> dict[str, Any]:
    """Imports the locations of all root registries, and lists what is registered in them and their children.

    Args:
        save_path: a folder for ``modules_statistic_results.json``; None saves nothing.
        verbose: whether to print a line for each registry as well.

    Returns:
        A dict with ``scan_date`` and ``registries``; the latter maps the name of each root registry in `eng.registry`
        to the list that `traverse_registry_tree` returns.

    Raises:
        OSError: the file cannot be written.
    """
    roots = {
        name: value for name, value in vars(_root).items() if value in _root.ROOT_REGISTRIES and name != "OPTIM_WRAPPER"
    }
    report = {"scan_date": time.strftime("%Y-%m-%d %H:%M:%S"), "registries": _count_all(roots, verbose)}
    if save_path is not None:
        folder = Path(save_path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FILE_NAME).write_text(json.dumps(report, indent=2), encoding="utf-8")
    return report


def _count_all(roots: dict[str, Any], verbose: bool) -> dict[str, Any]:
    for registry in roots.values():
        registry.import_from_location()
    return {name: traverse_registry_tree(roots[name], verbose) for name in sorted(roots)}


def _count(registry: Registry) -> dict[str, Any]:
    """Returns the number of names in a registry, its scope, and the registered names by folder of their modules."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in registry.module_dict.items():
        folders["/".join(module.__module__.split(".")[:-1])].append(name)
    return {"num_modules": len(registry), "scope": registry.scope, **folders}


def _print(lines: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line, markup=False)
