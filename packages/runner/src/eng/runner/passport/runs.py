"""Reads the passports of runs: lists starts, finds the start that a user names, and compares two starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.process import is_alive
from eng.logging.starts import PASSPORT, read_record

from .facts import as_mapping, changed_rows, differing
from .record import END

__all__ = ["NoPassportError", "Start", "compare", "find_run", "find_start", "find_starts", "lineage"]

WORK_DIRS = "work_dirs"


class NoPassportError(ValueError):
    """A folder, or a name, has no passport of a run."""


@dataclass(frozen=True)
class Start:
    """One start of a run, read from its folder; nothing in the folder is executed.

    Args:
        folder: folder of the start.
        passport: content of ``passport.json``.
        end: content of ``end.json``; empty while the start runs, or if it was killed.
    """

    folder: Path
    passport: Mapping[str, Any]
    end: Mapping[str, Any]

    @property
    def status(self) -> str:
        """``"done"``, ``"failed"``, ``"interrupted"``, ``"running"`` or, without an end and a live process, ``"killed"``."""
        if self.end:
            return str(self.end.get("status", "?"))
        if _is_running(self.passport.get("host")):
            return "running"
        return "killed"

    @property
    def best(self) -> str:
        """Each metric with its best value; with its last value if it is unknown whether greater values are better."""
        last, best = as_mapping(self.end.get("metrics")), as_mapping(self.end.get("best_metrics"))
        followed = as_mapping(self.end.get("best"))  # Passports before version 2 recorded one metric here.
        if "metric" in followed:
            best = {followed["metric"]: followed.get("score"), **best}
        names = dict.fromkeys([*last, *best])
        texts = (_metric_text(str(name), last.get(name), best.get(name)) for name in names)
        return ", ".join(text for text in texts if text)


def _metric_text(name: str, last: object, best: object) -> str:
    if isinstance(best, (int, float)):
        return f"{name}: {best:.4g} (best)"
    if isinstance(last, (int, float)):
        return f"{name}: {last:.4g} (last)"
    return ""


def find_starts(folder: str | Path) -> list[Start]:
    """Finds all starts below a folder, the oldest first; unreadable passports are left out."""
    return _oldest_first(_read_starts(Path(folder).rglob(PASSPORT)))


def _oldest_first(starts: Iterable[Start]) -> list[Start]:
    return sorted(starts, key=lambda start: (str(start.passport.get("began", "")), start.folder.name))


def find_start(run: str | Path) -> Start:
    """Returns the start in a folder, or the newest start in a work dir; deeper folders are not searched.

    Raises:
        NoPassportError: the folder has no start.
    """
    folder = Path(run)
    paths = [folder / PASSPORT]
    if not paths[0].is_file():
        paths = list(folder.glob(f"*/{PASSPORT}"))
    starts = _oldest_first(_read_starts(paths))
    if not starts:
        hint = ""
        if find_starts(folder):
            hint = f"; eng runs {folder} lists those that lie deeper"
        raise NoPassportError(f"{run} holds no run: no file {PASSPORT} lies in it or in a folder of it{hint}")
    return starts[-1]


def find_run(name: str | Path) -> Start:
    """Finds the run that a user names by its folder, by the folder's path below ``work_dirs``, or by its experiment name.

    Args:
        name: such as ``work_dirs/config/20260101_120000``, ``config/20260101_120000``, ``20260101_120000`` or
            ``config_20260101_120000``. The name of a work dir means its newest start.

    Raises:
        NoPassportError: no run, or more than one, has this name.
    """
    if Path(name).is_dir():
        return find_start(name)
    below = Path(WORK_DIRS)
    if (below / name).is_dir():
        return find_start(below / name)
    starts = []
    if below.is_dir():
        starts = find_starts(below)
    named = [start for start in starts if str(name) in (start.folder.name, start.passport.get("experiment_name"))]
    if len(named) > 1:
        raise NoPassportError(f"several runs are called {name}: {', '.join(str(start.folder) for start in named)}")
    if not named:
        known = [str(start.folder) for start in starts]
        raise NoPassportError(
            f"there is no run {name}, neither here nor below {WORK_DIRS}{suggest(str(name), known, otherwise='')}"
        )
    return named[0]


def _read_starts(paths: Iterable[Path]) -> Iterator[Start]:
    for path in sorted(paths):
        passport = read_record(path)
        if passport:
            yield Start(path.parent, passport, read_record(path.with_name(END)))


def lineage(start: Start) -> dict[str, float]:
    """Returns the names of a start and of the starts that it was resumed from, in the same work dir.

    Args:
        start: the start.

    Returns:
        By name, the last iteration of that start which ``start`` builds on; infinite for ``start`` itself.
    """
    siblings = {_name_of(sibling): sibling for sibling in _read_starts(start.folder.parent.glob(f"*/{PASSPORT}"))}
    limits, limit = {_name_of(start): math.inf}, math.inf
    current: Start | None = start
    while current is not None:
        parent = as_mapping(current.passport.get("parent"))
        name, iteration = str(parent.get("experiment_name") or ""), parent.get("iter")
        if not name or name in limits or not isinstance(iteration, int):
            break
        limit = min(limit, iteration)
        limits[name] = limit
        current = siblings.get(name)
    return limits


def _name_of(start: Start) -> str:
    """Returns the experiment name of a start; composes it for a passport of version 1, which does not record it."""
    from eng.runner.environment import experiment_name_for

    recorded = start.passport.get("experiment_name")
    return str(recorded or experiment_name_for(None, start.passport.get("config_file"), start.folder.name))


def _is_running(host: object) -> bool:
    """Whether the process that wrote a passport is alive; a process of another machine is assumed to be alive."""
    return isinstance(host, Mapping) and is_alive({**host, "host": host.get("name")})


def compare(first: Start, second: Start) -> list[tuple[str, str, str, str]]:
    """Returns the differences between two starts as ``(section, key, value of the first, value of the second)``."""
    rows = differing(*(_with_kept_values(start.passport) for start in (first, second)))
    rows += changed_rows("seeds", *(as_mapping(start.passport.get("seeds")) for start in (first, second)))
    rows += package_rows(first.passport.get("packages"), second.passport.get("packages"))
    return [*rows, *changed_rows("metrics", *(as_mapping(start.end.get("metrics")) for start in (first, second)))]


def _with_kept_values(passport: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a passport whose config has the values in use: a resumed run uses some values of its checkpoint."""
    config, from_checkpoint = passport.get("config"), passport.get("kept")
    if not from_checkpoint or not isinstance(config, Mapping) or not isinstance(from_checkpoint, Mapping):
        return passport
    used = {
        key: f"{value} (of the checkpoint; the config's {config.get(key)} is not used)"
        for key, value in from_checkpoint.items()
    }
    return {**passport, "config": {**config, **used}}


def package_rows(first: object, second: object) -> list[tuple[str, str, str, str]]:
    """Returns the installed packages whose versions differ, in the form of :func:`compare`.

    Args:
        first: ``name==version`` of each package of one run.
        second: the same of another run.
    """
    return list(changed_rows("packages", _packages(first), _packages(second)))


def _packages(listed: object) -> dict[str, str]:
    pairs = []
    if isinstance(listed, list):
        pairs = [str(text).partition("==") for text in listed]
    return {name: version for name, _, version in pairs}
