"""Finds the work directories of runs below a folder, and the names and settings that distinguish the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from eng.logging.starts import PASSPORT, STAMP, START_FILE, read_record

__all__ = ["run_folders", "short_names", "what_differs"]

_MOST_DIFFERENCES = 3
_LONGEST_VALUE = 24


def run_folders(folder: Path) -> list[Path]:
    """Returns the work directories of the runs below a folder, which may be such a work directory itself.

    If there is none, because ``folder`` is the timestamped subfolder of one launch or is a file, ``folder`` itself is
    returned.
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
    """Returns for each of several launches the settings in which its config differs from the others, as ``lr=0.1``.

    For a launch whose config is not recorded the text is empty.

    Args:
        starts: timestamped folders of the launches, in which runs record their config (in a file called passport).
    """
    configs = [_config_of(start) for start in starts]
    known = [config for config in configs if config]
    keys = dict.fromkeys(key for config in known for key in config if key != "work_dir")
    differing = [key for key in keys if len({config.get(key) for config in known}) > 1]
    labels = _short_keys(differing)
    return [_difference(config, labels) for config in configs]


def _config_of(start: Path) -> Mapping[str, str]:
    """Returns the config that a launch has recorded in its folder, as texts by dotted key; empty without a record."""
    passport = read_record(start / PASSPORT)
    if not isinstance(passport, dict):
        return {}
    config = passport.get("config")
    if not isinstance(config, dict):
        return {}
    return {str(key): str(value) for key, value in config.items()}


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Maps each dotted key of a config to a short label: as few of its last parts as no other key ends with.

    For example, ``optim_wrapper.optimizer.lr`` gets the label ``lr``.
    """
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
    """Returns a text with the first three settings in which a config differs from others, as ``lr=0.1, depth=50``.

    Args:
        config: values of the config by dotted key.
        labels: label of each differing setting by dotted key.
    """
    parts = [f"{label}={_shorten(config[key])}" for key, label in labels.items() if key in config]
    if len(parts) > _MOST_DIFFERENCES:
        parts = [*parts[:_MOST_DIFFERENCES], "…"]
    return ", ".join(parts)


def _shorten(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[: _LONGEST_VALUE - 1]}…"
