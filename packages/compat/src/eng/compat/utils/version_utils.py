"""Replaces ``mmengine.utils.version_utils``: comparable versions, and the commit of a git repository."""

from __future__ import annotations

import subprocess

from eng.compat.errors import UsageError

# Number by which `digit_version` represents the stage of a pre-release (dev, alpha, beta, candidate). A release has 0,
# so that its pre-releases sort before it.
_STAGES = {"dev": -4, "a": -3, "b": -2, "rc": -1}


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """Converts a version to a tuple of numbers that can be compared.

    Args:
        version_str: a version such as ``"1.0.0rc1"``; a local part such as ``+cu118`` is ignored.
        length: number of release numbers; missing ones are filled with zeros.

    Returns:
        `length` release numbers, the stage (-4 dev, -3 alpha, -2 beta, -1 candidate, 0 release, 1 post) and the number
        of the stage.

    Raises:
        UsageError: the text is not a valid version.

    Example:
        >>> digit_version("1.0.0rc1"), digit_version("2.1.0+cu118") >= digit_version("2.0")
        ((1, 0, 0, 0, -1, 1), True)
    """
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(version_str)
    except InvalidVersion as error:
        raise UsageError(f"{version_str!r} is no version such as '1.2.3' or '1.0.0rc1'") from error
    release = (*version.release, *[0] * length)[:length]
    if version.pre is not None:
        return (*release, _STAGES[version.pre[0]], version.pre[1])
    if version.post is not None:
        return (*release, 1, version.post)
    if version.dev is not None:
        return (*release, _STAGES["dev"], 0)
    return (*release, 0, 0)


def get_git_hash(fallback: str = "unknown", digits: int | None = None) -> str:
    """Returns the hash of the commit that is checked out in the working directory.

    Args:
        fallback: returned if there is no git repository, or git is not installed.
        digits: length of the hash; None for the complete hash.

    Raises:
        TypeError: `digits` is not an integer.
    """
    if digits is not None and not isinstance(digits, int):
        raise TypeError(f"digits must be a whole number or None, got {digits!r}")
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True)  # noqa: S607  # git is found on the user's PATH
    except (OSError, subprocess.CalledProcessError):
        return fallback
    return done.stdout.strip()[:digits]
