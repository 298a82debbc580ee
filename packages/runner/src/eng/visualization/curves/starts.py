"""Finds the JSON lines of a run: each start of a run writes them into its own folder in the work directory."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eng.logging.starts import STAMP, start_number

from ._reading import Damage
from .lines import LinesError, has_training, on_axis, read_lines, tracker_name

__all__ = ["Curves", "NoCurvesError", "find_scalars", "load_curves", "scalars_before"]

BEGAN = ".began_ns"


class NoCurvesError(ValueError):
    """A folder contains no curves; the message names the files that were looked for."""


@dataclass(frozen=True)
class Curves:
    """The curves of one run, over all of its launches.

    Args:
        name: name of the run.
        path: file from which the curves were read.
        points: steps and values of each curve, by the curve's name and axis.
        differs: settings in which the run differs from the other runs, such as ``lr=0.1``.
    """

    name: str
    path: Path
    points: dict[tuple[str, str], tuple[list[float], list[float]]] = field(default_factory=dict)
    differs: str = ""

    @property
    def title(self) -> str:
        """The name of the run, with the settings in which it differs from other runs."""
        if self.differs:
            return f"{self.name} ({self.differs})"
        return self.name

    @property
    def names(self) -> list[str]:
        """Names of the curves, in the order in which they were first written."""
        return list(dict.fromkeys(name for name, _ in self.points))


def find_scalars(work_dir: str | Path) -> Path:
    """Returns the file with the scalars of the newest training in a work directory.

    The JSON lines file of a resumed launch contains the scalars of the earlier launches too. Launches that only
    validated (``eng val``) are considered only if no launch has trained.

    Args:
        work_dir: work directory of a run, the timestamped subfolder of one launch, or the file itself.

    Raises:
        NoCurvesError: there is no such file.
    """
    folder = Path(work_dir)
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise NoCurvesError(f"there is no folder {folder}")
    paths = [path for path in folder.rglob("scalars.json") if path.stat().st_size]
    if not paths:
        starts = sorted(path.name for path in folder.iterdir() if path.is_dir() and STAMP.search(path.name))
        seen = "it is not the work dir of a run"
        if starts:
            seen = f"its starts ({', '.join(starts[-3:])}) wrote none"
        raise NoCurvesError(
            f"{folder} holds no curves: no file <start>/vis_data/scalars.json lies below it; {seen}. "
            "A run writes them while it trains, with LoggerHook and LocalVisBackend"
        )
    return _newest(paths)


def _newest(paths: list[Path]) -> Path:
    """Returns the file of the newest launch that trained; if no launch has trained, the file of the newest launch.

    Args:
        paths: JSON lines files of several launches.
    """
    ordered = sorted(paths, key=_order, reverse=True)
    return next(filter(_has_training, ordered), ordered[0])


def _has_training(path: Path) -> bool:
    try:
        return has_training(path)
    except LinesError:
        # No line of the file can be read. The file counts as that of a training, so that the caller reads it, and gets
        # the error that names the damaged line.
        return True


def note_start(folder: Path) -> None:
    """Writes the current time into a file in the timestamped folder of a launch.

    The name of the folder is not precise enough to order launches: it has local time in seconds.
    """
    # An error is ignored: without this file, launches are ordered by the time in the names of their folders.
    with suppress(OSError), (folder / BEGAN).open("x", encoding="utf-8") as file:
        file.write(str(time.time_ns()))


def _began_ns(path: Path) -> int:
    """Returns when the launch that wrote a file began, in nanoseconds since 1970 UTC; 0 if it is unknown."""
    try:
        return int((path.parent / BEGAN).read_text(encoding="utf-8")[:30])
    except (OSError, ValueError):
        pass
    try:
        return int(time.mktime(time.strptime(_stamp(path)[:15], "%Y%m%d_%H%M%S")) * 1e9)
    except (ValueError, OverflowError):
        return 0


def _stamp(path: Path) -> str:
    return next((part for part in reversed(path.parts) if STAMP.fullmatch(part)), "")


def _order(path: Path) -> tuple[int, int, str, float]:
    """Returns the key by which JSON lines files of launches are sorted from the oldest to the newest.

    The key begins with the number of the launch in its run, followed by the time at which the launch began: clocks may
    be set back or differ between machines.
    """
    folder = next((parent for parent in path.parents if STAMP.fullmatch(parent.name)), path.parent)
    return start_number(folder), _began_ns(path), _stamp(path), path.stat().st_mtime


def scalars_before(checkpoint: str, experiment_name: str, work_dir: str, scalar_file: Path) -> Path | None:
    """Returns the file with the scalars of the launch that wrote a checkpoint, from which a run resumes.

    Args:
        checkpoint: path of the checkpoint.
        experiment_name: name of the launch in the checkpoint's ``meta``; it ends with the time at which the launch
            began.
        work_dir: work directory of the resumed run.
        scalar_file: file into which the resumed run writes its scalars. If this file exists already, all launches of
            the run share it, and it is returned.

    Returns:
        The JSON lines file. If the checkpoint does not identify its launch, this is the file of the newest launch in
        ``work_dir`` that trained; None if no launch has written scalars.
    """
    if scalar_file.is_file() and scalar_file.stat().st_size:
        return scalar_file
    stamp = STAMP.search(experiment_name)
    if stamp is not None:
        for folder in (Path(checkpoint).parent, Path(work_dir)):
            path = folder / stamp[0] / "vis_data" / scalar_file.name
            if path.is_file():
                return path
    others = [path for path in Path(work_dir).glob(f"*/vis_data/{scalar_file.name}") if path.stat().st_size]
    if not others:
        return None
    return _newest(others)


def load_curves(work_dir: str | Path, name: str | None = None, damage: Damage | None = None) -> Curves:
    """Reads the curves of a run.

    Scalars of a validation with the same name as in training (``time``, ``loss``) become ``val/time`` and ``val/loss``.

    Args:
        work_dir: work directory, subfolder of a launch, or JSON lines file; see :func:`find_scalars`.
        name: name of the run; None (default) uses the folder's name.
        damage: record to which damaged lines are added; None (default) logs a warning about them.

    Raises:
        NoCurvesError: the run has no curves.
        LinesError: no line of the file can be read.
    """
    path = find_scalars(work_dir)
    curves = Curves(name or Path(work_dir).resolve().name, path)
    for line in map(on_axis, read_lines(path, damage=damage)):
        for key, value in line.values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or key in ("iter", "epoch"):
                continue
            steps, values = curves.points.setdefault((tracker_name(key, line.mode), str(line.axis)), ([], []))
            steps.append(line.step)
            values.append(float(value))
    if not curves.points:
        raise NoCurvesError(f"{path} holds lines, but no numbers in them")
    return curves
