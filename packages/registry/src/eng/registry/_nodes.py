"""Describes a mapping inside a config for messages: its call, its keys from the root, its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST_CALL = 72


def location_of(cfg: Any, key: str | int | None = "type") -> str | None:
    """Returns file and line where a key of a config mapping was set, such as ``"path/file.py:12"``.

    Returns None for a mapping without the method ``__where__``, which `eng.config` provides.
    """
    where = getattr(cfg, "__where__", None)
    if where is None:
        return None
    at_key = None
    if key is not None:
        at_key = where(key)
    location: str | None = at_key or where(None)
    return location


def describe_call(cfg: Any, default_type: Any = "?") -> str:
    """Formats the call that a config mapping describes, such as ``"ResNet(depth=50, stem=…)"``, in one short line."""
    if not isinstance(cfg, Mapping):
        return f"{type(cfg).__name__}"
    arguments = ", ".join(f"{key}={_short(value)}" for key, value in cfg.items() if key not in ("type", "_scope_"))
    if len(arguments) > _LONGEST_CALL:
        arguments = f"{arguments[:_LONGEST_CALL]}…"
    return f"{type_name(cfg.get('type', default_type))}({arguments})"


def type_name(type_or_name: Any) -> str:
    """Returns the name of a config's ``type`` for messages; ``type`` is a string, a class or a function."""
    if isinstance(type_or_name, str):
        return type_or_name
    return getattr(type_or_name, "__name__", repr(type_or_name))


def key_path_to(target: Any, cfg: Any) -> str | None:
    """Returns the keys that lead from `cfg` to the mapping `target` inside it, such as ``".backbone"``.

    Returns None if `cfg` does not contain `target`. A constructor may have copied `target`, so if the same object is
    not inside `cfg`, an equal mapping is accepted.
    """
    nodes = list(nodes_below(cfg))
    same = next((path for path, node in nodes if node is target), None)
    return same or next((path for path, node in nodes if type(node) is type(target) and node == target), None)


def nodes_below(cfg: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every mapping, list and tuple nested inside `cfg`, with the keys that lead to it."""
    pairs: Iterator[tuple[str, Any]]
    if isinstance(cfg, Mapping):
        pairs = ((f"{path}.{key}", value) for key, value in cfg.items())
    elif isinstance(cfg, (list, tuple)):
        pairs = ((f"{path}[{index}]", value) for index, value in enumerate(cfg))
    else:
        return
    for inner, value in pairs:
        if isinstance(value, (Mapping, list, tuple)):
            yield inner, value
        yield from nodes_below(value, inner)


def _short(value: Any) -> str:
    if isinstance(value, (str, int, float, bool, type(None))):
        if len(repr(value)) <= 32:
            return repr(value)
        return f"{repr(value)[:30]}…"
    return "…"
