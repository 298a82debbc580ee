"""Formats a data element for printing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_INDENT = " " * 4


def format_element(
    name: str, address: int, metainfo: Iterable[tuple[str, Any]], data: Iterable[tuple[str, Any]]
) -> str:
    """Returns the text of a data element: class name, meta information, data fields and memory address."""
    body = ["META INFORMATION", *_lines(metainfo), "", "DATA FIELDS", *_lines(data)]
    return "\n".join([f"<{name}(", "", *(_indented(text) for text in body), f") at {address:#x}>"])


def _lines(items: Iterable[tuple[str, Any]]) -> list[str]:
    return [_line(key, value) for key, value in items]


def _line(key: str, value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return "\n".join([f"{key}:", *(_indented(_line(str(inner), item)) for inner, item in value.items())])
    first, *further = repr(value).split("\n")
    return "\n".join([f"{key}: {first}", *(_indented(text) for text in further)])


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line if line.strip() else "" for line in text.split("\n"))
