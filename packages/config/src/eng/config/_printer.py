"""Writing configs: our own small printer for Python, and the JSON and YAML dumpers."""

from __future__ import annotations

import json
import keyword
import math
import re
import types
import unicodedata
from collections.abc import Mapping
from typing import Any

from .lazy import dotted_name, is_lazy

WIDTH = 80
_TO_ESCAPE = re.compile("\\{\\{|[\x85\u2028\u2029\ufeff]")
_CALLED = frozenset({"dict", "float", "globals", "set", "frozenset", "range"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIMPLE = frozenset({int, bool, type(None)})


def python_text(values: dict[Any, Any]) -> str:
    """`values` as a Python config: one assignment per key, in order, a line each where it fits in 80 columns.

    Example:
        >>> print(python_text({"lr": 0.1, "model": {"type": "ResNet", "depth": 50}}), end="")
        lr = 0.1
        model = dict(type='ResNet', depth=50)
    """
    named = {key: value for key, value in values.items() if _is_name(key) and key not in _CALLED}
    unnamed = {key: value for key, value in values.items() if key not in named}
    lines = [f"{key} = {_render(value, 0, len(key) + 3)}\n" for key, value in named.items()]
    if unnamed:  # keys that no assignment can name, and names that the lines above call
        lines.append(f"globals().update({_render(unnamed, 0, 18)})\n")
    return "".join(lines)


def _is_name(key: Any) -> bool:
    """Whether Python code can write `key` as a name and gets the same text back (it normalises names to NFKC)."""
    if type(key) is not str or not key.isidentifier() or keyword.iskeyword(key):
        return False
    return key.isascii() or unicodedata.normalize("NFKC", key) == key


def _render(value: Any, indent: int, used: int) -> str:
    """`value` as an expression that starts `used` columns into a line, with a trailing comma to follow."""
    cls = type(value)
    if cls is str:
        return _string(value)
    if cls in _SIMPLE:
        if cls is not int:
            return repr(value)
        return _integer(value)
    if cls is float:
        if math.isfinite(value):
            return repr(value)
        return f"float('{value}')"
    if isinstance(value, dict):
        return _mapping(value, indent, used)
    if cls is list:
        return _group("[", [_render(item, indent + 4, indent + 4) for item in value], "]", indent, used)
    if cls is tuple:
        items = [_render(item, indent + 4, indent + 4) for item in value]
        return _group("(", items, ")", indent, used, single=True)
    if cls is set and value:
        return _group("{", sorted(_render(item, indent + 4, indent + 4) for item in value), "}", indent, used)
    return _render_other(value)


def _mapping(value: dict[Any, Any], indent: int, used: int) -> str:
    inner = indent + 4
    if all(map(_is_name, value)):
        items = [f"{key}={_render(item, inner, inner + len(key) + 1)}" for key, item in dict.items(value)]
        return _group("dict(", items, ")", indent, used)
    items = []
    for key, item in dict.items(value):
        name = _render(key, inner, inner)
        items.append(f"{name}: {_render(item, inner, inner + len(name) + 2)}")
    return _group("{", items, "}", indent, used)


def _group(start: str, items: list[str], end: str, indent: int, used: int, *, single: bool = False) -> str:
    """One line where all items fit, else an item a line with a trailing comma. Linear: each text is joined once a level."""
    room = WIDTH - used - len(start) - len(end) - 1
    for item in items:
        room -= len(item) + 2
        if room < -2 or "\n" in item:
            pad = " " * (indent + 4)
            body = f",\n{pad}".join(items)
            return f"{start}\n{pad}{body},\n{' ' * indent}{end}"
    comma = ""
    if single and len(items) == 1:
        comma = ","
    return f"{start}{', '.join(items)}{comma}{end}"


def _string(text: str) -> str:
    shown = repr(text)
    # Two braces would read as a substitution when the dump is loaded.
    if "{{" in shown:
        return shown.replace("{{", "{\\x7b")
    return shown


def _integer(value: int) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes thousands of digits as hexadecimal ones only
        return hex(value)


def _render_other(value: Any) -> str:
    if is_lazy(value) or isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return repr(dotted_name(value))
    if isinstance(value, (set, frozenset)):
        items = ", ".join(sorted(map(repr, value)))
        return f"{type(value).__name__}({f'{{{items}}}' if items else ''})"
    if isinstance(value, Mapping):  # such as the environment, whose values nobody asked to see
        return object.__repr__(value)
    return repr(value)


def json_text(values: dict[Any, Any]) -> str:
    """`values`, which are plain, as one line of JSON."""
    text = json.dumps(values, ensure_ascii=False)
    if not text.isascii() and _SURROGATE.search(text):
        text = json.dumps(values)
    return text.replace("{{", "{\\u007b")


def yaml_text(values: dict[Any, Any]) -> str:
    """`values`, which are plain, as YAML in block style, keys sorted where they can be."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        tuple, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:python/tuple", data)
    )
    Dumper.add_representer(str, _yaml_string)
    text: str = yaml.dump(
        values, Dumper=Dumper, default_flow_style=False, allow_unicode=True, width=10**9, sort_keys=True
    )
    return text.replace("{{", "{\\x7B")


def _yaml_string(dumper: Any, text: str) -> Any:
    # Only the double-quoted style can escape a brace, and the line breaks of Unicode, which others fold to spaces.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _TO_ESCAPE.search(text) else None)
