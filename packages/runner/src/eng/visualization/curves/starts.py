"""Where the lines of a run lie: each start of it has a folder of its own in the work dir."""

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
    """A folder holds no curves; the message says what was looked for."""


@dataclass(frozen=True)
class Curves:
    """The curves of one run.

    Args:
        name: of the run.
        path: file that they come from.
        points: by name and axis, the steps and values of a curve, in order.
        differs: settings that tell the run from those beside it, such as ``lr=0.1``.
    """

    name: str
    path: Path
    points: dict[tuple[str, str], tuple[list[float], list[float]]] = field(default_factory=dict)
    differs: str = ""

    @property
    def title(self) -> str:
        """The name, with what differs."""
        return f"{self.name} ({self.differs})" if self.differs else self.name

    @property
    def names(self) -> list[str]:
        """Names of the curves, in the order in which they were first written."""
        return list(dict.fromkeys(name for name, _ in self.points))


def find_scalars(work_dir: str | Path) -> Path:
    """The JSON lines of the newest start in a work dir that trained; they hold the curves of earlier starts too.

    A start that only validated (``eng val``) wrote lines as well; they count where no start trained.

    Args:
        work_dir: of a run, the folder of one start in it, or the file itself.

    Raises:
        NoCurvesError: there are none.
    """
    folder = Path(work_dir)
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise NoCurvesError(f"there is no folder {folder}")
    paths = [path for path in folder.rglob("scalars.json") if path.stat().st_size]
    if not paths:
        starts = sorted(path.name for path in folder.iterdir() if path.is_dir() and STAMP.search(path.name))
        seen = f"its starts ({', '.join(starts[-3:])}) wrote none" if starts else "it is not the work dir of a run"
        raise NoCurvesError(
            f"{folder} holds no curves: no file <start>/vis_data/scalars.json lies below it; {seen}. "
            "A run writes them while it trains, with LoggerHook and LocalVisBackend"
        )
    return _newest(paths)


def _newest(paths: list[Path]) -> Path:
    """The file of the newest start that trained, or else of the newest."""
    ordered = sorted(paths, key=_order, reverse=True)
    return next(filter(_has_training, ordered), ordered[0])


def _has_training(path: Path) -> bool:
    try:
        return has_training(path)
    except LinesError:  # whoever reads the file is told what is wrong with it
        return True


def note_start(folder: Path) -> None:
    """Writes down when a start began, which its name tells by the local clock only."""
    with suppress(OSError), (folder / BEGAN).open("x", encoding="utf-8") as file:  # the lines can do without it
        file.write(str(time.time_ns()))


def _began_ns(path: Path) -> int:
    """When the start that wrote a file began, in nanoseconds since 1970 UTC; 0 where nothing tells."""
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
    """Which start a file belongs to: its number in the run, and where nobody counted, when it began.

    A clock that was set back, and another machine's, tell the time wrong; the number does not.
    """
    folder = next((parent for parent in path.parents if STAMP.fullmatch(parent.name)), path.parent)
    return start_number(folder), _began_ns(path), _stamp(path), path.stat().st_mtime


def scalars_before(checkpoint: str, experiment_name: str, work_dir: str, scalar_file: Path) -> Path | None:
    """The JSON lines of the start that wrote a checkpoint.

    Args:
        checkpoint: its path.
        experiment_name: from its meta; it ends with the time at which that start began.
        work_dir: of the run that goes on.
        scalar_file: where the resumed run writes its lines; where that is a folder that all starts share, it holds them.

    Returns:
        The file; that of the newest other start that trained where the checkpoint names none; None where there is none.
    """
    if scalar_file.is_file() and scalar_file.stat().st_size:
        return scalar_file
    stamp = STAMP.search(experiment_name)
    for folder in (Path(checkpoint).parent, Path(work_dir)) if stamp else ():
        path = folder / stamp[0] / "vis_data" / scalar_file.name  # type: ignore[index]  # the loop is empty where it is None
        if path.is_file():
            return path
    others = [path for path in Path(work_dir).glob(f"*/vis_data/{scalar_file.name}") if path.stat().st_size]
    return _newest(others) if others else None


def load_curves(work_dir: str | Path, name: str | None = None, damage: Damage | None = None) -> Curves:
    """The curves of a run.

    A value of a validation that training has under the same name (``time``, ``loss``) becomes ``val/time``, ``val/loss``.

    Args:
        work_dir: see :func:`find_scalars`.
        name: of the run; the folder's by default.
        damage: where lines that cannot be read are noted; they are logged by default.

    Raises:
        NoCurvesError: there are none.
        LinesError: a line cannot be read.
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
