"""Conversion of colours (names, matplotlib's letters or numbers) to RGB values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.optional import optional_module

RGB = tuple[int, int, int]

# Matplotlib's one-letter names of colours, which configs of OpenMMLab's libraries use. All other names (CSS names and
# #rrggbb) are looked up in Pillow.
_LETTERS: dict[str, RGB] = {
    "b": (0, 0, 255), "g": (0, 128, 0), "r": (255, 0, 0), "c": (0, 191, 191), "m": (191, 0, 191), "y": (191, 191, 0),
    "k": (0, 0, 0), "w": (255, 255, 255),
}  # fmt: skip


def to_rgb(color: Any) -> RGB | None:
    """Converts a colour to three integers from 0 to 255; ``"none"`` gives None.

    Args:
        color: a name (``"g"``, ``"tomato"``, ``"#ff0000"``, ``"none"``), or three integers from 0 to 255.

    Raises:
        ValueError: the name is unknown (the message suggests similar names), or a number is out of range.
        TypeError: ``color`` is neither a name nor a sequence of three or four numbers.

    Examples:
        >>> to_rgb("r"), to_rgb("#00ff7f"), to_rgb((1, 2, 3)), to_rgb("none")
        ((255, 0, 0), (0, 255, 127), (1, 2, 3), None)
    """
    if isinstance(color, str):
        if color == "none":
            return None
        return _rgb_of_name(color)
    if isinstance(color, Sequence) and len(color) in (3, 4):
        channels = [int(channel) for channel in color[:3]]
        if not all(0 <= channel <= 255 for channel in channels):
            raise ValueError(f"a colour has three numbers from 0 to 255, not {tuple(color)}")
        return channels[0], channels[1], channels[2]
    raise TypeError(f"a colour is a name or three numbers from 0 to 255, not {color!r}")


def _rgb_of_name(name: str) -> RGB:
    """Returns the colour with a name: one of matplotlib's letters, or a name that Pillow knows.

    Raises:
        ValueError: the name is unknown; the message suggests similar names.
    """
    if name in _LETTERS:
        return _LETTERS[name]
    colors = optional_module("PIL.ImageColor", f"the colour {name!r}", "pillow")
    try:
        # For "#rrggbbaa" Pillow returns a fourth number, the opacity, which is dropped.
        red, green, blue, *_ = colors.getrgb(name)
        return red, green, blue
    except ValueError:
        hint = suggest(name, [*colors.colormap, *_LETTERS], otherwise="")
        raise ValueError(f"there is no colour {name!r}{hint}") from None


def for_each(value: Any, count: int, name: str) -> list[Any]:
    """Returns a list with the value of a drawing argument, such as a colour, for each of several shapes.

    Args:
        value: one value for all shapes, or a list with one value per shape.
        count: number of shapes.
        name: name of the argument, for the error message.

    Raises:
        ValueError: ``value`` is a list with another length than ``count``.
    """
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: expected one value or a list of {count}, got a list of {len(value)}")
    return value
