# ruff: noqa: PTH100, PTH119, PTH120, PTH122  # paths may be URLs
"""Substitutes ``{{…}}`` in config texts: replaces each by a mark, parses the text, then replaces marks by values.

The value never becomes part of the text, so a quote in an environment variable cannot break the config or add code to
it.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._provenance import MISSING
from ._source import Source, is_url
from .errors import UndefinedVariableError, hint

PREDEFINED = ("fileDirname", "fileBasename", "fileBasenameNoExtension", "fileExtname")
MARK_START = "_EngSub"
MARK = MARK_START + "{}_"
MARKED = re.compile(MARK_START + r"(\d+)_")
_CURLY = re.compile(
    r"\{\{\s*(?:"
    r"_base_\.(?P<base>[\w.]+)"
    r"|(?P<quote>['\"]?)\s*\$\s*(?P<env>\w+)\s*(?P<colon>:(?P<default>[^}\n]*?))?\s*(?P=quote)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r")\s*\}\}"
)
_JSON_PART = re.compile(r'"(?:[^"\\\n]|\\.)*"|' + f"(?P<bare>{re.sub(r'[?]P<(?!quote)[a-z]+>', '?:', _CURLY.pattern)})")


@dataclass(frozen=True)
class Substitution:
    """One ``{{…}}`` of a config text, such as ``{{fileDirname}}``, ``{{$NAME:default}}`` or ``{{_base_.key}}``.

    Attributes:
        text: the text that replaces the ``{{…}}`` if it is part of a longer string.
        value: the value that replaces the ``{{…}}`` if it is the complete config value; MISSING for a
            ``{{_base_.key}}``, because base configs are loaded later.
        base: the dotted key of a ``{{_base_.key}}``; None for other substitutions.
        env: name of the environment variable that supplied the value; None if the value has another origin, such as
            the default of an unset variable.
        default: the value of the default in ``{{$NAME:default}}``; None without a default. If the variable was set,
            `Config.explain` shows the default as the value that the variable replaced.
        line: 1-based line of the ``{{…}}`` in the file.
    """

    text: str
    value: Any
    line: int
    base: str | None = None
    env: str | None = None
    default: Any = None


@dataclass
class Substitutions:
    """All ``{{…}}`` of one config file.

    In the text of the config each ``{{…}}`` is replaced by a placeholder, a name such as ``_EngSub0_``. The number in
    the placeholder is the index into `items`.
    """

    file: str
    items: list[Substitution] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def number(self, text: str) -> int | None:
        """Returns the number in the placeholder if `text` is exactly one placeholder of a ``{{…}}``, else None."""
        match = MARKED.fullmatch(text)
        if match and int(match[1]) < len(self.items):
            return int(match[1])
        return None

    def value(self, number: int, base: Mapping[str, Any]) -> Any:
        """Returns the value of a ``{{…}}`` that is a complete config value, not part of a longer string.

        The value of a ``{{_base_.key}}`` is a copy of the value in `base`, the merged base configs.

        Raises:
            UndefinedVariableError: the base config has no such key.
        """
        item = self.items[number]
        if item.base is None:
            return item.value
        return copy.deepcopy(self._base_value(item, base))

    def fill(self, text: str, base: Mapping[str, Any]) -> str:
        """Returns `text` with every placeholder of a ``{{…}}`` replaced by the text that the ``{{…}}`` stands for."""

        def replacement(match: re.Match[str]) -> str:
            item = self.items[int(match[1])]
            if item.base is None:
                return item.text
            return str(self._base_value(item, base))

        return MARKED.sub(replacement, text)

    def variables(self, text: str) -> tuple[tuple[str, Any], ...]:
        """Returns the environment variables whose ``{{$NAME:default}}`` stands in `text` and that were set.

        Each item is a pair: the variable's name, and the value that `text` would have had if the variable were unset.
        """
        numbers = [int(match[1]) for match in MARKED.finditer(text)]
        alone = self.number(text) is not None
        variables = []
        for number in numbers:
            item = self.items[number]
            if item.env:
                if alone:
                    old = item.default
                else:
                    old = text.replace(MARK.format(number), str(item.default or ""))
                variables.append((item.env, old))
        return tuple(variables)

    def _base_value(self, item: Substitution, base: Mapping[str, Any]) -> Any:
        """Returns the value at the dotted key of a ``{{_base_.key}}`` in the values of the base configs."""
        assert item.base is not None
        node: Any = base
        for part in item.base.split("."):
            known = []
            if isinstance(node, Mapping):
                known = list(node)
            if isinstance(node, Mapping) and part in node:
                node = node[part]
            elif isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                raise UndefinedVariableError(
                    f"{{{{_base_.{item.base}}}}}: the bases define no {part!r}{hint(part, known)}", self.file, item.line
                )
        return node


def substitute(
    source: Source, *, predefined: bool = True, environment: bool = True, trust: bool = True
) -> tuple[str, Substitutions]:
    """Replaces every known ``{{…}}`` of a config text by a placeholder.

    Returns the new text, and the table of what each placeholder stands for. With ``trust=False`` environment variables
    are not read; the default in ``{{$NAME:default}}`` is used.

    Raises:
        UndefinedVariableError: an environment variable is unset and has no default, or a predefined name is misspelt.
    """
    table = Substitutions(source.name)
    if "{{" not in source.text:
        return source.text, table

    def mark_for(match: re.Match[str], start: int, quoted: bool) -> str:
        """Returns the placeholder of one ``{{…}}``; the ``{{…}}`` itself if it is not a substitution.

        Args:
            match: the match of the ``{{…}}``.
            start: position in the text by which line numbers are counted.
            quoted: whether the ``{{…}}`` stands in quotes; its value is then a string, unless it names a base value.
        """
        line = source.text.count("\n", 0, start) + 1
        item = _substitution_of(match, source, line, predefined, environment, trust, table)
        if item is None:
            return match[0]
        if quoted and item.base is None:
            item = dataclasses.replace(item, value=item.text)  # "{{$N:1}}" in quotes is the string "1".
        table.items.append(item)
        # Line breaks inside the braces are moved to the end of the placeholder, so that later lines keep their numbers.
        return MARK.format(len(table.items) - 1) + "\n" * match[0].count("\n")

    if source.extension == ".json":
        return _json_marks(source.text, mark_for), table
    return _CURLY.sub(lambda match: mark_for(match, match.start(), _in_quotes(match)), source.text), table


def _in_quotes(match: re.Match[str]) -> bool:
    """Whether the characters directly before and after a match are the same quote character."""
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    return before == after and before in ("'", '"')


def _json_marks(text: str, mark_for: Callable[[re.Match[str], int, bool], str]) -> str:
    """Replaces each ``{{…}}`` in a JSON text by a placeholder.

    A placeholder outside a string is put in quotes, because a name without quotes is not valid JSON.
    """

    def part(match: re.Match[str]) -> str:
        """Replaces the ``{{…}}`` in one match of `_JSON_PART`: a JSON string, or one ``{{…}}`` outside a string."""
        if match["bare"] is None:
            return _CURLY.sub(lambda inner: mark_for(inner, match.start(), True), match[0])
        inner = _CURLY.fullmatch(match["bare"])
        assert inner is not None
        replaced = mark_for(inner, match.start(), False)
        mark = replaced.rstrip("\n")
        if MARKED.fullmatch(mark):
            return f'"{mark}"{replaced[len(mark) :]}'
        return replaced

    return _JSON_PART.sub(part, text)


def _substitution_of(
    match: re.Match[str],
    source: Source,
    line: int,
    predefined: bool,
    environment: bool,
    trust: bool,
    table: Substitutions,
) -> Substitution | None:
    """Returns what one ``{{…}}`` stands for; None if it is not a substitution or its kind is switched off."""
    if match["base"]:
        return Substitution("", MISSING, line, base=match["base"].rstrip("."))
    if match["env"]:
        if environment:
            return _environment(match, source, line, trust, table)
        return None
    if predefined:
        return _predefined(match["name"], source, line)
    return None


def _environment(match: re.Match[str], source: Source, line: int, trust: bool, table: Substitutions) -> Substitution:
    """Returns the substitution for ``{{$NAME:default}}``.

    Its value is that of the environment variable, or the default if the variable is unset or must not be read.
    """
    name, default = match["env"], match["default"]
    if default is not None:
        default = default.strip()
    value = None
    if trust:
        value = os.environ.get(name)
    if value is not None:
        table.env[name] = value
        return Substitution(value, _literal(value), line, env=name, default=_default(default))
    if default is not None:
        return Substitution(default, _literal(default), line, default=_literal(default))
    reason = "is not set" if trust else "is not read with trust=False"
    raise UndefinedVariableError(
        f"{match[0]}: the environment variable {name} {reason} and there is no default; "
        f"write {{{{${name}:default}}}}{' or set it' if trust else ''}",
        source.name,
        line,
    )


def _default(text: str | None) -> Any:
    if text is None:
        return None
    return _literal(text)


def _literal(text: str) -> Any:
    """Parses a variable or default as a Python literal, or as true, false or null; any other text stays a string."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False, "null": None}.get(text.strip(), text)


def _predefined(name: str, source: Source, line: int) -> Substitution | None:
    """Returns the substitution for a predefined name such as ``{{fileDirname}}``.

    A misspelled predefined name is an error. For any other name None is returned, so that the text stays unchanged.
    """
    value = predefined_values(source.path).get(name)
    if value is not None:
        return Substitution(value, value, line)
    if difflib.get_close_matches(name, PREDEFINED, n=1, cutoff=0.75):
        raise UndefinedVariableError(
            f"{{{{{name}}}}} is not a predefined variable{hint(name, PREDEFINED)}", source.name, line
        )
    return None


def predefined_values(path: str) -> dict[str, str]:
    """Returns the four variables that every config can use, such as ``{{fileDirname}}``, for the file at `path`.

    Example:
        >>> predefined_values("/configs/a.py")["fileBasenameNoExtension"]
        'a'
    """
    if is_url(path):
        absolute = path
    else:
        absolute = os.path.abspath(path)
    base = os.path.basename(absolute)
    stem, extension = os.path.splitext(base)
    folder = os.path.dirname(absolute).replace("\\", "/")
    return dict(zip(PREDEFINED, (folder, base, stem, extension), strict=True))


def fill_values(value: Any, table: Substitutions, base: Mapping[str, Any]) -> Any:
    """Returns a parsed JSON or YAML value with all placeholders ``{{…}}`` in its strings replaced by their values.

    A string that consists of one placeholder is replaced by the value itself, which keeps its type, such as a list.
    In a longer string, the placeholder is replaced by the text of its value.

    Args:
        value: the parsed value.
        table: what each placeholder stands for.
        base: the values of the base configs, for ``{{_base_.key}}``.
    """
    if isinstance(value, str):
        number = table.number(value.strip())
        if number is None:
            return table.fill(value, base)
        return table.value(number, base)
    if isinstance(value, list):
        return [fill_values(item, table, base) for item in value]
    if isinstance(value, dict):
        return {_key(key, table, base): fill_values(item, table, base) for key, item in value.items()}
    return value


def _key(key: Any, table: Substitutions, base: Mapping[str, Any]) -> Any:
    if isinstance(key, str):
        return table.fill(key, base)
    return key
