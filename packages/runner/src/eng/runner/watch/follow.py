"""Follows the files of runs while they train; a file is read again only if it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eng.logging.words import counted
from eng.runner.passport.runs import NoPassportError, Start, find_start
from eng.visualization.curves import (
    Curves,
    Damage,
    LinesError,
    NoCurvesError,
    find_scalars,
    load_curves,
    run_folders,
    short_names,
    what_differs,
)

__all__ = ["Watched", "Watcher"]

_NOTHING_YET = "nothing written yet"


@dataclass(frozen=True)
class Watched:
    """Curves and status of a run at one moment.

    Args:
        curves: curves of the run, which have no points if the run has not logged any value yet.
        status: status of the run as text, such as ``running, iteration 120``.
    """

    curves: Curves
    status: str


@dataclass(frozen=True)
class _Reading:
    """Cached content of a file of scalars, which is valid while the file keeps its size and modification time.

    Attributes:
        state: path, size in bytes and modification time of the file.
        curves: curves in the file.
        note: text on damaged lines or on the reason why there are no curves; empty if all lines are intact.
    """

    state: tuple[str, int, int]
    curves: Curves
    note: str


class Watcher:
    """Follows runs by reading the files in their folders.

    Args:
        folders: work dirs of runs, or folders that hold several work dirs; they may be created later.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        self._readings: dict[Path, _Reading] = {}
        self._order: dict[Path, None] = {}

    def look(self) -> list[Watched]:
        """Returns the current state of all runs, in the order in which they appeared."""
        present = list(dict.fromkeys(path for folder in self._folders for path in _runs_in(folder)))
        self._order = dict.fromkeys([path for path in self._order if path in present] + present)
        paths = list(self._order)
        readings = [self._read(path) for path in paths]
        differences = what_differs([reading.curves.path.parent.parent for reading in readings])
        watched = []
        for path, name, reading, text in zip(paths, short_names(paths), readings, differences, strict=True):
            curves = replace(reading.curves, name=name, differs=text)
            watched.append(Watched(curves, _status(_start_of(path), curves, reading.note)))
        return watched

    def _read(self, path: Path) -> _Reading:
        """Reads the curves of a run; returns the earlier reading if the run's file of scalars has not changed."""
        before = self._readings.get(path)
        try:
            file = find_scalars(path)
            facts = file.stat()
            state = (str(file), facts.st_size, facts.st_mtime_ns)
            if before is not None and before.state == state:
                return before
            damage = Damage()
            reading = _Reading(state, load_curves(path, path.name, damage), _damage_note(damage))
        except NoCurvesError:
            return before or _Reading(("", 0, 0), Curves(path.name, path / "none" / "none"), _NOTHING_YET)
        except (LinesError, OSError) as error:  # The file has another format, or was removed meanwhile.
            if before is not None:
                curves = before.curves
            else:
                curves = Curves(path.name, path / "none" / "none")
            return _Reading(("", 0, 0), curves, str(error))
        self._readings[path] = reading
        return reading


def version_of(watched: Sequence[Watched]) -> str:
    """Returns a digest of the curves and status of the runs; the digest changes when a run has logged new values."""
    parts = [
        (run.curves.title, run.status, {key: (len(steps), values[-1:]) for key, (steps, values) in run.curves.points.items()})
        for run in watched
    ]  # fmt: skip
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _runs_in(folder: Path) -> list[Path]:
    """Returns the folders of the runs in a folder; a folder that cannot be read counts as a run without values."""
    try:
        return run_folders(folder)
    except OSError:  # The folder was removed while it was searched.
        return [folder]


def _start_of(path: Path) -> Start | None:
    """Returns the newest launch of a run, from its passport; None if the run has not written a passport."""
    try:
        return find_start(path)
    except (NoPassportError, OSError):
        return None


def _damage_note(damage: Damage) -> str:
    """Returns a note on damaged lines of a file of scalars; empty if there are none.

    An incomplete last line does not count as damaged, because the run is still writing the line.
    """
    if damage.numbers:
        return f"{counted(len(damage.numbers), 'damaged line')} left out"
    return ""


def _status(start: Start | None, curves: Curves, note: str) -> str:
    """Returns the text to show after the name of a run: status, last iteration, best metric and a note.

    The note says how many damaged lines of the run's files of scalars were left out; it is empty if there were none.
    """
    parts = []
    if start is not None:
        parts = [start.status]
    ends = [steps[-1] for (_, axis), (steps, _) in curves.points.items() if axis == "iter"]
    if ends:
        parts += [f"iteration {max(ends):.0f}"]
    if start is not None and start.best:
        parts += [start.best]
    if note:
        parts += [note]
    return ", ".join(parts)
