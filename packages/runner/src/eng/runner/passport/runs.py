"""Reading what runs were: their starts in a folder, how two of them differ, and what starts one again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eng.logging.process import is_alive

from .facts import differing
from .record import END, PASSPORT

__all__ = ["NoPassportError", "Start", "compare", "find_start", "find_starts"]


class NoPassportError(ValueError):
    """A folder holds no passport of a run."""


@dataclass(frozen=True)
class Start:
    """One start of a run, as plain data; nothing in its folder is executed.

    Args:
        folder: of the start.
        passport: what it was.
        end: how it ended; empty where it has not, or was killed.
    """

    folder: Path
    passport: Mapping[str, Any]
    end: Mapping[str, Any]

    @property
    def status(self) -> str:
        """``"done"``, ``"failed"``, ``"interrupted"``, ``"running"``, or ``"killed"``: no end, and no process."""
        if self.end:
            return str(self.end.get("status", "?"))
        return "running" if _is_running(self.passport.get("host")) else "killed"

    @property
    def best(self) -> str:
        """The best metric, or the last metrics where none is followed."""
        best = self.end.get("best")
        if isinstance(best, Mapping) and isinstance(best.get("score"), (int, float)):
            return f"{best.get('metric')}: {best['score']:.4g}"
        metrics = self.end.get("metrics")
        if not isinstance(metrics, Mapping):
            return ""
        return ", ".join(f"{key}: {value:.4g}" for key, value in metrics.items() if isinstance(value, (int, float)))


def find_starts(folder: str | Path) -> list[Start]:
    """The starts below a folder, the oldest first; what cannot be read is left out."""
    return sorted(_starts(Path(folder)), key=lambda start: (str(start.passport.get("began", "")), start.folder.name))


def find_start(run: str | Path) -> Start:
    """The start in a folder, or the newest one in a work dir.

    Raises:
        NoPassportError: there is none.
    """
    starts = find_starts(run)
    if not starts:
        raise NoPassportError(f"{run} holds no run: no file {PASSPORT} lies in it or below it")
    return starts[-1]


def _starts(folder: Path) -> Iterator[Start]:
    for path in sorted(folder.rglob(PASSPORT)):
        passport = _read(path)
        if passport:
            yield Start(path.parent, passport, _read(path.with_name(END)))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_running(host: Any) -> bool:
    """Whether the process that wrote a passport is alive; of another machine nobody can tell: it counts as running."""
    return isinstance(host, Mapping) and is_alive({**host, "host": host.get("name")})


def compare(first: Start, second: Start) -> list[tuple[str, str, str, str]]:
    """What differs, as ``(section, key, value of the first, value of the second)``: config, code, data, versions, metrics."""
    rows = differing(*(_with_kept_values(start.passport) for start in (first, second)))
    seeds = [start.passport.get("seeds") for start in (first, second)]
    rows += _rows("seeds", *seeds)
    rows += package_rows(first.passport.get("packages"), second.passport.get("packages"))
    return rows + _rows("metrics", *[start.end.get("metrics") for start in (first, second)])


def _with_kept_values(passport: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts with the values that were used: a resumed run keeps some of its checkpoint's."""
    config, kept = passport.get("config"), passport.get("kept")
    if not kept or not isinstance(config, Mapping) or not isinstance(kept, Mapping):
        return passport
    used = {
        key: f"{value} (of the checkpoint; the config's {config.get(key)} is not used)" for key, value in kept.items()
    }
    return {**passport, "config": {**config, **used}}


def package_rows(first: Any, second: Any) -> list[tuple[str, str, str, str]]:
    """Installed packages that differ, as :func:`compare` gives them.

    Args:
        first: ``name==version`` of each package of one run.
        second: the same of another run.
    """
    return _rows("packages", _packages(first), _packages(second))


def _packages(listed: Any) -> dict[str, str]:
    pairs = [str(text).partition("==") for text in listed] if isinstance(listed, list) else []
    return {name: version for name, _, version in pairs}


def _rows(section: str, first: Any, second: Any) -> list[tuple[str, str, str, str]]:
    old, new = (value if isinstance(value, Mapping) else {} for value in (first, second))
    keys = dict.fromkeys((*old, *new))
    rows = [(section, str(key), str(old.get(key, "absent")), str(new.get(key, "absent"))) for key in keys]
    return [row for row in rows if row[2] != row[3]]
