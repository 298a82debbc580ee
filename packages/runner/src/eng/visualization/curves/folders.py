"""Folders of runs: which lie below a folder, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from eng.logging.starts import PASSPORT, STAMP, START_FILE, read_record

__all__ = ["run_folders", "short_names", "what_differs"]

_MOST_DIFFERENCES = 3
_LONGEST_VALUE = 24


def run_folders(folder: Path) -> list[Path]:
    """The work dirs of the runs below a folder; the folder itself where there are none, and for a single start or a file."""
    if not folder.is_dir():
        return [folder]
    starts = {path.parents[1] for path in folder.rglob("vis_data/scalars.json")}
    starts |= {path.parent for name in (START_FILE, PASSPORT) for path in folder.rglob(name)}
    work_dirs = {start.parent for start in starts if STAMP.fullmatch(start.name)}
    return sorted(path for path in work_dirs if path == folder or folder in path.parents) or [folder]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names that tell folders apart: as much of the end of their paths as that takes.

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
    """For each start, what its config has and those of others have not, such as ``lr=0.1``; "" where nothing is known.

    Args:
        starts: folders in which runs left their passports.
    """
    configs = [_config_of(start) for start in starts]
    known = [config for config in configs if config]
    keys = dict.fromkeys(key for config in known for key in config if key != "work_dir")
    differing = [key for key in keys if len({config.get(key) for config in known}) > 1]
    labels = _short_keys(differing)
    return [_difference(config, labels) for config in configs]


def _config_of(start: Path) -> Mapping[str, str]:
    passport = read_record(start / PASSPORT)
    config = passport.get("config") if isinstance(passport, dict) else None
    return {str(key): str(value) for key, value in config.items()} if isinstance(config, dict) else {}


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """For each dotted key, its last part, or as many parts as tell it from the others."""
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
    parts = [f"{label}={_shown(config[key])}" for key, label in labels.items() if key in config]
    more = ["…"] if len(parts) > _MOST_DIFFERENCES else []
    return ", ".join([*parts[:_MOST_DIFFERENCES], *more])


def _shown(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
