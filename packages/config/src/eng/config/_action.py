"""`DictAction`: ``--cfg-options key=value …`` as a dict of typed values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

_PAIRS = {"(": ")", "[": "]"}
_WORDS = {"true": True, "false": False, "None": None}


class DictAction(argparse.Action):
    """Collects ``key=value`` arguments into a dict; repeated options add up, the last of a key wins.

    Values are read as int, float, bool (``true``, ``False``, …), None, text, and lists and tuples of these, nested:
    ``a,b`` and ``[a,b]`` are lists, ``(a,b)`` is a tuple, ``[(1,2),(3,4)]`` a list of tuples.

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
        """Adds the pairs to the namespace; a malformed one ends the program with the usage (exit status 2)."""
        options = dict(getattr(namespace, self.dest, None) or {})
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
    """The key and the value of ``key=value``.

    Raises:
        ValueError: there is no ``=``, no key, or the brackets do not match.

    Example:
        >>> parse_option("optimizer.lr=1e-3")
        ('optimizer.lr', 0.001)
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"expected key=value, got {text!r}")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """A command-line text as a value.

    Raises:
        ValueError: the brackets do not match.

    Example:
        >>> parse_value("[(1,2),true,a]")
        [(1, 2), True, 'a']
    """
    text = text.strip("'\" ")
    parts = _split(text)
    if len(parts) > 1:
        return [parse_value(part) for part in parts if part.strip() or part is not parts[-1]]
    if text[:1] in _PAIRS and text[-1:] == _PAIRS[text[0]]:
        inner = _split(text[1:-1])
        if inner and not inner[-1].strip():
            inner.pop()  # a trailing comma, or nothing between the brackets
        items = [parse_value(part) for part in inner]
        return tuple(items) if text[0] == "(" else items
    return _scalar(text)


def _scalar(text: str) -> Any:
    number = _number(text, int)
    number = _number(text, float) if number is None else number
    return _WORDS.get(text if text == "None" else text.lower(), text) if number is None else number


def _number(text: str, kind: type[int] | type[float]) -> int | float | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _split(text: str) -> list[str]:
    """`text` at the commas outside brackets and quotes."""
    parts, start, open_brackets, quote = [], 0, [], ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _PAIRS:
            open_brackets.append(char)
        elif char in _PAIRS.values():
            if not open_brackets or _PAIRS[open_brackets.pop()] != char:
                raise _imbalanced(text)
        elif char == "," and not open_brackets:
            parts.append(text[start:at])
            start = at + 1
    if open_brackets and ("," in text or "]" in text or ")" in text):
        raise _imbalanced(text)
    return [*parts, text[start:]]


def _imbalanced(text: str) -> ValueError:
    return ValueError(f"{text!r}: a bracket is opened and not closed, or closed and not opened")


def add_arguments(parser: argparse.ArgumentParser, values: dict[str, Any], prefix: str = "") -> None:
    """Adds an option for every value of a config that a command line can set."""
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
