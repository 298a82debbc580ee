"""Chooses modules of a model by patterns of their names, for several settings of a run."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

from torch import nn

from eng.checkpoint.unwrap import model_name
from eng.logging.near_names import suggest

__all__ = ["modules_by_pattern", "names_by_pattern"]

_CONTAINERS = (nn.ModuleList, nn.ModuleDict)


def modules_by_pattern(model: nn.Module, patterns: Iterable[str] | str, setting: str) -> dict[str, nn.Module]:
    """Returns the modules whose names match patterns, by dotted name, in the order of the model.

    If a module and a module inside it match, only the outer one is chosen. A ModuleList or ModuleDict, which has no
    ``forward``, is replaced by its members.

    Args:
        model: the model.
        patterns: dotted names; ``*``, ``?`` and ``[...]`` are wildcards, and ``*`` matches dots too.
        setting: name of the setting, for the message.

    Raises:
        ValueError: a pattern matches no module; the message names similar modules.

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
    """Returns the names that match at least one pattern.

    Args:
        known: names to choose from.
        patterns: a pattern or several.
        unknown: returns the error for a pattern that matches no name.
        with_members: whether a pattern also matches the names of all modules inside a module that it names.

    Raises:
        Exception: the error that ``unknown`` returns; a pattern matches no name.
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
