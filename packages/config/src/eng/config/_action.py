"""`DictAction`, which parses ``--cfg-options key=value …`` of a command line into a dict of typed values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_LISTS = ("(", "[")
_CLOSERS = frozenset(_PAIRS.values())
_BEFORE_VALUES = frozenset(",([{:=")
_KEY = {
    sign: re.compile(rf"\s*(?P<key>'[^']*'|\"[^\"]*\"|[^'\"{sign}]+?)\s*{sign}(?P<value>.*)$", re.DOTALL)
    for sign in "=:"
}
_WORDS = {"true": True, "false": False, "None": None}


class CommandLineOptions(dict[str, Any]):
    """Config overrides by dotted key, parsed from a command line.

    `Config.explain` reports the layer "command line" for overrides of this type, and "code" for those of a plain dict.
    """


class DictAction(argparse.Action):
    """Collects ``key=value`` arguments into a dict.

    An option that is given several times adds its pairs to the same dict; for a repeated key the last value counts.

    A value is parsed as int, float, bool (``true``, ``False``, …), None, or nested lists, tuples and dicts of these;
    anything else is a string. ``a,b`` and ``[a,b]`` are lists, ``(a,b)`` is a tuple, ``[(1,2),(3,4)]`` is a list of
    tuples, ``dict(type=EMAHook)`` and ``{type: EMAHook}`` are dicts. Quoted text is always a string: ``'1'``,
    ``'a,b'``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--cfg-options", nargs="+", action=DictAction)
        >>> parser.parse_args(["--cfg-options", "lr=0.1", "model.stages=[(1,2),3]"]).cfg_options
        {'lr': 0.1, 'model.stages': [(1, 2), 3]}
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Adds the ``key=value`` pairs to the argparse namespace.

        A malformed pair ends the program with the usage message and exit status 2.
        """
        options = CommandLineOptions(getattr(namespace, self.dest, None) or {})
        for text in [values] if isinstance(values, str) else values or ():
            try:
                key, value = parse_option(text)
            except ValueError as error:
                raise argparse.ArgumentError(self, str(error)) from error
            options[key] = value
        setattr(namespace, self.dest, options)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        return parse_value(val)


def parse_option(text: str) -> tuple[str, Any]:
    """Splits ``key=value`` into the key and the parsed value.

    Raises:
        ValueError: the text has no ``=`` or no key, or the brackets do not match.

    Example:
        >>> parse_option("optimizer.lr=1e-3")
        ('optimizer.lr', 0.001)
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"expected key=value, got {text!r}")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """Parses the text of a command-line value into a Python value.

    Raises:
        ValueError: the brackets do not match, or ``dict(…)`` contains something other than ``name=value``.

    Example:
        >>> parse_value("[(1,2),true,a]")
        [(1, 2), True, 'a']
        >>> parse_value("[dict(type=EMAHook, momentum=0.1)]")
        [{'type': 'EMAHook', 'momentum': 0.1}]
        >>> parse_value("'1,2'")
        '1,2'
    """
    text = text.strip()
    quoted = _inside_quotes(text)
    if quoted is not None:
        # Some shells pass quotes on to the program, so that a quoted list is parsed as a list, not as a string.
        if quoted[:1] in _LISTS and quoted[-1:] == _PAIRS[quoted[0]]:
            return parse_value(quoted)
        return quoted
    parts = _split(text)
    if len(parts) > 1:
        return [parse_value(part) for part in parts if part.strip() or part is not parts[-1]]
    if text.startswith("dict(") and text.endswith(")"):
        return _mapping(text, _items(text[5:-1]), "=")
    if text[:1] not in _PAIRS or text[-1:] != _PAIRS[text[0]]:
        return _scalar(text)
    items = _items(text[1:-1])
    if text[0] == "{":
        if all(_KEY[":"].match(item) for item in items):
            return _mapping(text, items, ":")
        return text
    values = [parse_value(item) for item in items]
    if text[0] == "(":
        return tuple(values)
    return values


def _items(inner: str) -> list[str]:
    items = _split(inner)
    if not items[-1].strip():
        items.pop()  # An empty text after the last comma, or in empty brackets, is not an item.
    return items


def _mapping(text: str, items: list[str], sign: str) -> dict[Any, Any]:
    matches = [_KEY[sign].match(item) for item in items]
    if not all(matches):
        raise ValueError(f"{text!r}: expected name{sign}value between the brackets")
    pairs = [(match["key"], match["value"]) for match in matches if match]
    return {_key(key): parse_value(value) for key, value in pairs}


def _key(text: str) -> Any:
    quoted = _inside_quotes(text.strip())
    if quoted is None:
        return _scalar(text.strip())
    return quoted


def _inside_quotes(text: str) -> str | None:
    """Returns the text between the quotes if one pair of quotes encloses all of `text`, else None."""
    quote = text[:1]
    if quote and quote in "'\"" and len(text) > 1 and text[-1] == quote and quote not in text[1:-1]:
        return text[1:-1]
    return None


def _scalar(text: str) -> Any:
    for number_type in (int, float):
        number = _number(text, number_type)
        if number is not None:
            return number
    return _WORDS.get(text if text == "None" else text.lower(), text)


def _number(text: str, number_type: type[int] | type[float]) -> int | float | None:
    try:
        return number_type(text)
    except ValueError:
        return None


def _split(text: str) -> list[str]:
    """Splits `text` at the commas outside of brackets and quotes.

    A quote character counts as a quote only at the start of a value, as in ``['a,b']``; the apostrophe of ``don't``
    does not.
    """
    parts: list[str] = []
    closers: list[str] = []
    start = 0
    quote = ""
    begins = True
    for at, char in enumerate(text):
        if quote:
            if char == quote:
                quote = ""
        elif char in "'\"" and begins:
            quote = char
        elif char in _PAIRS:
            closers.append(_PAIRS[char])
        elif char in _CLOSERS:
            if not closers or closers.pop() != char:
                return _unbalanced(text)
        elif char == "," and not closers:
            parts.append(text[start:at])
            start = at + 1
        begins = char in _BEFORE_VALUES or (begins and char == " ")
    if closers:
        return _unbalanced(text)
    return [*parts, text[start:]]


def _unbalanced(text: str) -> list[str]:
    """Returns a text with unbalanced brackets, such as ``a)b``, as the only item of a list.

    Raises ValueError for a text that starts or ends like a list, tuple or dict, because a bracket was then forgotten.
    """
    if "," in text or (text[0] in _LISTS and text[-1] in _CLOSERS):
        raise _imbalanced(text)
    return [text]


def _imbalanced(text: str) -> ValueError:
    return ValueError(f"{text!r}: a bracket is opened and not closed, or closed and not opened")


def add_arguments(parser: argparse.ArgumentParser, values: dict[str, Any], prefix: str = "") -> None:
    """Adds a command-line option to `parser` for every value of a config that is a number, string, bool or list.

    Args:
        parser: the parser that gets the options.
        values: the config values.
        prefix: dotted key of `values` in the complete config, with a trailing dot; empty if `values` is that config.
    """
    for key, value in values.items():
        name = f"--{prefix}{key}"
        if isinstance(value, bool):
            parser.add_argument(name, action="store_true")
        elif isinstance(value, (str, int, float)):
            parser.add_argument(name, type=type(value))
        elif isinstance(value, dict):
            add_arguments(parser, value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)) and value:
            parser.add_argument(
                name, type=type(value[0]) if isinstance(value[0], (str, int, float)) else str, nargs="+"
            )
