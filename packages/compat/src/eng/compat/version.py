"""The version of mmengine that libraries see under the alias: the MMEngine release whose interface eng implements."""

from __future__ import annotations

__version__ = "0.10.7"


def parse_version_info(version: str) -> tuple[int | str, ...]:
    """Returns the numbers of a version as a tuple, followed by ``"rcN"`` for a release candidate.

    Example:
        >>> parse_version_info("1.3.0"), parse_version_info("1.3.0rc1")
        ((1, 3, 0), (1, 3, 0, 'rc1'))
    """
    parts: list[int | str] = []
    for part in version.split("."):
        if part.isdigit():
            parts.append(int(part))
        elif "rc" in part:
            number, candidate = part.split("rc", 1)
            parts += [int(number), f"rc{candidate}"]
    return tuple(parts)


version_info = parse_version_info(__version__)
