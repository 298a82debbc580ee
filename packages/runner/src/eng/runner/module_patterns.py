"""Modules of a model by patterns of their names, as several settings of a run choose them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

from torch import nn

from eng.checkpoint.unwrap import model_name
from eng.logging.near_names import suggest

__all__ = ["modules_by_pattern", "names_by_pattern"]

_CONTAINERS = (nn.ModuleList, nn.ModuleDict)


def modules_by_pattern(model: nn.Module, patterns: Iterable[str] | str, setting: str) -> dict[str, nn.Module]:
    """The modules that patterns name, by dotted name, in the order of the model.

    Of modules inside one another the outermost is chosen. A list or a dict of modules, which has no forward of its own,
    stands for its members.

    Args:
        model: the model.
        patterns: dotted names; ``*``, ``?`` and ``[...]`` are wildcards, and ``*`` stands for dots too.
        setting: name of the setting, for the message.

    Raises:
        ValueError: a pattern names no module; near names are given.

    Example:
        >>> model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(1, 1), nn.ReLU()]), "head": nn.Linear(1, 1)})
        >>> list(modules_by_pattern(model, "layers.*", "regions"))
        ['layers.0', 'layers.1']
    """
    known = {name: module for name, module in model.named_modules() if name}

    def unknown(pattern: str) -> ValueError:
        hint = suggest(pattern, known, otherwise=f"; there are {list(known)[:8]} ...")
        return ValueError(f"{setting} names {pattern!r}, which {model_name(model)} lacks{hint}")

    matched = names_by_pattern(known, patterns, unknown)
    chosen: dict[str, nn.Module] = {}
    for name, module in known.items():
        if _is_below(name, chosen):
            continue
        if name in matched or _parent(name) in matched:
            if isinstance(module, _CONTAINERS):
                matched.add(name)
            else:
                chosen[name] = module
    return chosen


def names_by_pattern(
    known: Iterable[str],
    patterns: Iterable[str] | str,
    unknown: Callable[[str], Exception],
    *,
    with_members: bool = False,
) -> set[str]:
    """The names that patterns match.

    Args:
        known: names to choose from.
        patterns: one or several.
        unknown: gives the error to raise for a pattern that matches no name.
        with_members: a pattern also matches what is below the module that it names.

    Raises:
        Exception: the one of ``unknown``; a pattern matches no name.
    """
    if isinstance(patterns, str):
        patterns = [patterns]
    matched: set[str] = set()
    for pattern in patterns:
        names = {
            name
            for name in known
            if fnmatch.fnmatchcase(name, pattern) or (with_members and name.startswith(f"{pattern}."))
        }
        if not names:
            raise unknown(pattern)
        matched |= names
    return matched


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _is_below(name: str, chosen: Iterable[str]) -> bool:
    return any(name.startswith(f"{outer}.") for outer in chosen)
