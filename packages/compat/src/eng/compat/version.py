"""The version that libraries see under the alias: the last MMEngine whose interface eng serves."""

from __future__ import annotations

import re

__version__ = "0.10.7"


def parse_version_info(version: str) -> tuple[int | str, ...]:
    """Numbers of a version, and its release candidate if it is one.

    Example:
        >>> parse_version_info("1.3.0"), parse_version_info("1.3.0rc1")
        ((1, 3, 0), (1, 3, 0, 'rc1'))
    """
    parts: list[int | str] = []
    for part in version.split("."):
        number, candidate = re.fullmatch(r"(\d*)(rc\d+)?.*", part).groups()  # type: ignore[union-attr]  # always matches
        parts += [int(number)] if number else []
        parts += [candidate] if candidate else []
    return tuple(parts)


version_info = parse_version_info(__version__)
