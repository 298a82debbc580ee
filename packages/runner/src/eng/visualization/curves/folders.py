"""Finds the work directories of runs below a folder, and the names and settings that distinguish the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from eng.logging.starts import PASSPORT, STAMP, START_FILE, read_record

__all__ = ["run_folders", "short_names", "what_differs"]

_MOST_DIFFERENCES = 3
_LONGEST_VALUE = 24


def run_folders(folder: Path) -> list[Path]:
    """Returns the work directories of the runs below a folder.

    If there are none, because the folder belongs to a single start of a run or is a file, the result is the folder itself.
    """
    if not folder.is_dir():
        return [folder]
    starts = {path.parents[1] for path in folder.rglob("vis_data/scalars.json")}
    starts |= {path.parent for name in (START_FILE, PASSPORT) for path in folder.rglob(name)}
    work_dirs = {start.parent for start in starts if STAMP.fullmatch(start.name)}
    return sorted(path for path in work_dirs if path == folder or folder in path.parents) or [folder]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Returns a name for each folder: the last parts of its path, as many as are needed to make all names different.

    Example:
        >>> short_names([Path("/a/x/run"), Path("/a/y/run")])
        ['x/run', 'y/run']
    """
    longest = max((len(path.parts) for path in paths), default=1)
    length = 1
    while length < longest and len({path.parts[-length:] for path in paths}) < len(set(paths)):
        length += 1
    return ["/".join(path.parts[-length:]) for path in paths]


def what_differs(starts: Sequence[Path]) -> list[str]:
    """Returns, for each start of a run, the settings in which its config differs from the others, such as ``lr=0.1``.

    A start without a readable record of its config gets "".

    Args:
        starts: folders of starts, in which runs write their records ("passports").
    """
    configs = [_config_of(start) for start in starts]
    known = [config for config in configs if config]
    keys = dict.fromkeys(key for config in known for key in config if key != "work_dir")
    differing = [key for key in keys if len({config.get(key) for config in known}) > 1]
    labels = _short_keys(differing)
    return [_difference(config, labels) for config in configs]


def _config_of(start: Path) -> Mapping[str, str]:
    """Returns the config in the record of a start, with its values as text; empty if there is none."""
    passport = read_record(start / PASSPORT)
    if not isinstance(passport, dict):
        return {}
    config = passport.get("config")
    if not isinstance(config, dict):
        return {}
    return {str(key): str(value) for key, value in config.items()}


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Maps each dotted key to its last part, or to as many last parts as distinguish it from the other keys."""
    short = {}
    for key in keys:
        parts = key.split(".")
        for length in range(1, len(parts) + 1):
            ending = ".".join(parts[-length:])
            if sum(f".{candidate}".endswith(f".{ending}") for candidate in keys) == 1:
                break
        short[key] = ending
    return short


def _difference(config: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Formats the first three differing settings of a config, such as ``lr=0.1, depth=50``."""
    parts = [f"{label}={_shorten(config[key])}" for key, label in labels.items() if key in config]
    if len(parts) > _MOST_DIFFERENCES:
        parts = [*parts[:_MOST_DIFFERENCES], "…"]
    return ", ".join(parts)


def _shorten(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[: _LONGEST_VALUE - 1]}…"
