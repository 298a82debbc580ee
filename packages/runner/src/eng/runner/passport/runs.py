"""Reads the passports of runs: lists the launches of runs, finds the run that a user names, and compares two runs."""

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
    """A folder contains no passport of a run, or a name belongs to no run or to several runs."""


@dataclass(frozen=True)
class Start:
    """One launch of a run, read from the timestamped subfolder of this launch; no code in the folder is executed.

    Args:
        folder: timestamped subfolder of the launch.
        passport: content of ``passport.json``.
        end: content of ``end.json``; empty while the process runs, or if the process was killed.
    """

    folder: Path
    passport: Mapping[str, Any]
    end: Mapping[str, Any]

    @property
    def status(self) -> str:
        """``"done"``, ``"failed"``, ``"interrupted"``, ``"running"`` or ``"killed"``.

        ``"killed"`` means that the process does not run any more, but did not record its end.
        """
        if self.end:
            return str(self.end.get("status", "?"))
        if _is_running(self.passport.get("host")):
            return "running"
        return "killed"

    @property
    def best(self) -> str:
        """A line of text with the best value of each metric.

        If it is unknown whether greater or smaller values of a metric are better, its last value is shown.
        """
        last, best = as_mapping(self.end.get("metrics")), as_mapping(self.end.get("best_metrics"))
        followed = as_mapping(self.end.get("best"))  # Passports before version 2 recorded one metric here.
        if "metric" in followed:
            best = {followed["metric"]: followed.get("score"), **best}
        names = dict.fromkeys([*last, *best])
        texts = (_metric_text(str(name), last.get(name), best.get(name)) for name in names)
        return ", ".join(text for text in texts if text)


def _metric_text(name: str, last: object, best: object) -> str:
    """Returns a metric with its best value or, if there is no best value, its last value; empty without a number."""
    if isinstance(best, (int, float)):
        return f"{name}: {best:.4g} (best)"
    if isinstance(last, (int, float)):
        return f"{name}: {last:.4g} (last)"
    return ""


def find_starts(folder: str | Path) -> list[Start]:
    """Finds all launches of runs below a folder, the oldest first; unreadable passports are left out."""
    return _oldest_first(_read_starts(Path(folder).rglob(PASSPORT)))


def _oldest_first(starts: Iterable[Start]) -> list[Start]:
    return sorted(starts, key=lambda start: (str(start.passport.get("began", "")), start.folder.name))


def find_start(run: str | Path) -> Start:
    """Returns the launch recorded in a folder or, if the folder is a work dir, the newest launch in its subfolders.

    Deeper folders are not searched.

    Raises:
        NoPassportError: neither the folder nor a direct subfolder contains a passport.
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
    """Finds the run that a user names by a folder, by a folder's path below ``work_dirs``, or by an experiment name.

    Args:
        name: such as ``work_dirs/config/20260101_120000``, ``config/20260101_120000``, ``20260101_120000`` or
            ``config_20260101_120000``. The name of a work dir means the newest launch in this work dir.

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
    """Returns the chain of resumed launches that led to a launch, within the same work dir.

    Args:
        start: the launch at the end of the chain.

    Returns:
        A mapping with the experiment name of each launch in the chain. Its value is the last iteration of that launch
        which the chain uses: the iteration at which the next launch resumed. For ``start`` itself it is infinite.
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
    """Returns the experiment name of a launch; composes the name if the passport (of version 1) does not contain it."""
    from eng.runner.environment import experiment_name_for

    recorded = start.passport.get("experiment_name")
    return str(recorded or experiment_name_for(None, start.passport.get("config_file"), start.folder.name))


def _is_running(host: object) -> bool:
    """Whether the process that wrote a passport still runs; assumed to be true for a process on another machine.

    Args:
        host: the entry ``host`` of a passport, with machine name, process id and start time of the process.
    """
    return isinstance(host, Mapping) and is_alive({**host, "host": host.get("name")})


def compare(first: Start, second: Start) -> list[tuple[str, str, str, str]]:
    """Returns the differences between two runs as ``(section, key, value of the first, value of the second)``.

    The facts of :func:`eng.runner.passport.run_facts`, seeds, installed packages and last metrics are compared.
    """
    rows = differing(*(_with_kept_values(start.passport) for start in (first, second)))
    rows += changed_rows("seeds", *(as_mapping(start.passport.get("seeds")) for start in (first, second)))
    rows += package_rows(first.passport.get("packages"), second.passport.get("packages"))
    return [*rows, *changed_rows("metrics", *(as_mapping(start.end.get("metrics")) for start in (first, second)))]


def _with_kept_values(passport: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a passport whose config contains the values that the run really used.

    A resumed run uses some values of its checkpoint, such as learning rates, instead of those in its config.
    """
    config, from_checkpoint = passport.get("config"), passport.get("kept")
    if not from_checkpoint or not isinstance(config, Mapping) or not isinstance(from_checkpoint, Mapping):
        return passport
    used = {
        key: f"{value} (of the checkpoint; the config's {config.get(key)} is not used)"
        for key, value in from_checkpoint.items()
    }
    return {**passport, "config": {**config, **used}}


def package_rows(first: object, second: object) -> list[tuple[str, str, str, str]]:
    """Returns the installed packages whose versions differ between two runs, as rows like those of :func:`compare`.

    Args:
        first: list with ``name==version`` of each package that was installed for the first run.
        second: the same list of the second run.
    """
    return list(changed_rows("packages", _packages(first), _packages(second)))


def _packages(listed: object) -> dict[str, str]:
    pairs = []
    if isinstance(listed, list):
        pairs = [str(text).partition("==") for text in listed]
    return {name: version for name, _, version in pairs}
