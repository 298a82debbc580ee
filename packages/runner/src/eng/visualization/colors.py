"""Colours by name, by matplotlib's letters, or as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.optional import optional_module

RGB = tuple[int, int, int]

# Matplotlib's one-letter colours, which configs use; every other name is Pillow's (the CSS colours and #rrggbb).
_LETTERS: dict[str, RGB] = {
    "b": (0, 0, 255), "g": (0, 128, 0), "r": (255, 0, 0), "c": (0, 191, 191), "m": (191, 0, 191), "y": (191, 191, 0),
    "k": (0, 0, 0), "w": (255, 255, 255),
}  # fmt: skip


def to_rgb(color: Any) -> RGB | None:
    """A colour as three numbers from 0 to 255, or None for ``"none"``.

    Args:
        color: a name (``"g"``, ``"tomato"``, ``"#ff0000"``, ``"none"``), or three whole numbers from 0 to 255.

    Raises:
        ValueError: no such name (near names are given), or a number out of range.
        TypeError: something else.

    Examples:
        >>> to_rgb("r"), to_rgb("#00ff7f"), to_rgb((1, 2, 3)), to_rgb("none")
        ((255, 0, 0), (0, 255, 127), (1, 2, 3), None)
    """
    if isinstance(color, str):
        return None if color == "none" else _named(color)
    if isinstance(color, Sequence) and len(color) in (3, 4):
        channels = [int(channel) for channel in color[:3]]
        if not all(0 <= channel <= 255 for channel in channels):
            raise ValueError(f"a colour has three numbers from 0 to 255, not {tuple(color)}")
        return channels[0], channels[1], channels[2]
    raise TypeError(f"a colour is a name or three numbers from 0 to 255, not {color!r}")


def _named(name: str) -> RGB:
    """The colour of a name of matplotlib's or Pillow's."""
    if name in _LETTERS:
        return _LETTERS[name]
    colors = optional_module("PIL.ImageColor", f"the colour {name!r}", "pillow")
    try:
        red, green, blue, *_ = colors.getrgb(name)  # a fourth number is the opacity
        return red, green, blue
    except ValueError:
        hint = suggest(name, [*colors.colormap, *_LETTERS], otherwise="")
        raise ValueError(f"there is no colour {name!r}{hint}") from None


def for_each(value: Any, count: int, name: str) -> list[Any]:
    """One value for each of `count` things: the same for all, or a list with one each.

    Raises:
        ValueError: the list has another length.
    """
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: expected one value or a list of {count}, got a list of {len(value)}")
    return value
