"""Formats a config as Python (by a printer of this module), JSON or YAML text."""

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
    """Formats `values` as a Python config: one assignment per key, on one line if it fits in 80 columns.

    Example:
        >>> print(python_text({"lr": 0.1, "model": {"type": "ResNet", "depth": 50}}), end="")
        lr = 0.1
        model = dict(type='ResNet', depth=50)
    """
    named = {key: value for key, value in values.items() if _is_name(key) and key not in _CALLED}
    unnamed = {key: value for key, value in values.items() if key not in named}
    lines = [f"{key} = {_render(value, 0, len(key) + 3)}\n" for key, value in named.items()]
    # A key that is not an identifier cannot stand left of `=`. A key such as `dict` could, but would then hide the
    # function `dict` that the text of other values calls. Such keys are set by `globals().update`.
    if unnamed:
        lines.append(f"globals().update({_render(unnamed, 0, 18)})\n")
    return "".join(lines)


def _is_name(key: Any) -> bool:
    """Whether `key` can be written as a Python name in the dumped config and is the same key after loading.

    Python normalizes names to the Unicode form NFKC, so a key that this form would change cannot be written as a name.
    """
    if type(key) is not str or not key.isidentifier() or keyword.iskeyword(key):
        return False
    return key.isascii() or unicodedata.normalize("NFKC", key) == key


def _render(value: Any, indent: int, used: int) -> str:
    """Formats `value` as a Python expression.

    Args:
        value: any config value.
        indent: indentation of the current line, in columns.
        used: number of columns that stand before the expression on its line.
    """
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
    """Formats a dict as ``dict(a=1)`` if all keys can be Python names, else as ``{'a b': 1}``.

    `indent` and `used` are the columns as in `_render`.
    """
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
    """Joins formatted items between brackets: on one line if they fit, else one item per line.

    Args:
        start: opening bracket, such as ``"dict("``.
        items: formatted items.
        end: closing bracket.
        indent: indentation of the current line, in columns.
        used: columns of the line before the opening bracket.
        single: whether one single item needs a trailing comma, as in a tuple.
    """
    columns_left = WIDTH - used - len(start) - len(end) - 1
    for item in items:
        columns_left -= len(item) + 2
        if columns_left < -2 or "\n" in item:
            pad = " " * (indent + 4)
            body = f",\n{pad}".join(items)
            return f"{start}\n{pad}{body},\n{' ' * indent}{end}"
    comma = ""
    if single and len(items) == 1:
        comma = ","
    return f"{start}{', '.join(items)}{comma}{end}"


def _string(text: str) -> str:
    shown = repr(text)
    # Without the escape, "{{" would be parsed as a substitution when the dumped file is loaded.
    if "{{" in shown:
        return shown.replace("{{", "{\\x7b")
    return shown


def _integer(value: int) -> str:
    try:
        return repr(value)
    except ValueError:  # Python raises for decimal text of over 4300 digits, but not for hexadecimal text.
        return hex(value)


def _render_other(value: Any) -> str:
    """Formats a value that is not plain data: by its dotted name, or by its repr."""
    if is_lazy(value) or isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return repr(dotted_name(value))
    if isinstance(value, (set, frozenset)):
        items = ", ".join(sorted(map(repr, value)))
        return f"{type(value).__name__}({f'{{{items}}}' if items else ''})"
    # The repr of a mapping such as os.environ would print secrets, so only type and address are shown.
    if isinstance(value, Mapping):
        return object.__repr__(value)
    return repr(value)


def json_text(values: dict[Any, Any]) -> str:
    """Formats plain values as one line of JSON; escapes a literal ``{{``, which loading the text would substitute."""
    text = json.dumps(values, ensure_ascii=False)
    if not text.isascii() and _SURROGATE.search(text):
        text = json.dumps(values)
    return text.replace("{{", "{\\u007b")


def yaml_text(values: dict[Any, Any]) -> str:
    """Formats plain values as YAML in block style with sorted keys.

    A value that occurs twice is written twice, not as a YAML alias. A literal ``{{`` is escaped, because loading the
    text would substitute it.
    """
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
    # Only YAML's double-quoted style has escapes. The other styles would turn Unicode line breaks into spaces, and
    # could not escape a literal "{{", which eng would substitute when the dumped file is loaded.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _TO_ESCAPE.search(text) else None)
