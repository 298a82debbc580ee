"""Reads the JSON lines with a run's scalars, and selects the lines that a resumed run keeps."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

from ._reading import Damage, LineSource

__all__ = ["Line", "Lines", "LinesError", "cut", "has_training", "read_lines", "survives"]

logger = logging.getLogger(__name__)
# Keys in a JSON line that give the position of its scalars in the run; all other keys are names of scalars.
POSITION_KEYS = ("step", "axis", "iteration", "mode")


class LinesError(ValueError):
    """A file does not contain JSON lines (one JSON object per line); the message has file name and line number."""


@dataclass(frozen=True)
class Line:
    """The scalars of one step of a run, which are one line in a JSON lines file.

    Args:
        values: scalars by name.
        step: position of the scalars on the x axis.
        axis: unit of ``step``, ``"iter"`` or ``"epoch"``; None if the writer did not record it.
        iteration: number of completed training iterations when the line was written; None if it was not recorded.
        mode: ``"train"``, ``"val"`` or ``"test"``; ``"epoch"`` for scalars that are written between iterations, such as at
            the end of an epoch.
    """

    values: dict[str, Any]
    step: int = 0
    axis: str | None = None
    iteration: int | None = None
    mode: str | None = None

    @property
    def position(self) -> dict[str, Any]:
        """Those of ``axis``, ``iteration`` and ``mode`` that are not None, as keyword arguments for trackers."""
        known = {"axis": self.axis, "iteration": self.iteration, "mode": self.mode}
        return {key: value for key, value in known.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Returns the line as the JSON object that is written to a file."""
        return {**self.values, "step": self.step, **self.position}


class Lines(Sequence[Line]):
    """The scalars in a JSON lines file, one :class:`Line` per step.

    Each pass over the object reads the file again. Damaged lines and an incomplete last line, which a killed run
    leaves, are left out. A resumed run of MMEngine appends to the file of the earlier run, and starts at the iteration
    of the checkpoint. Iterations after the checkpoint then occur twice, and their later lines replace the earlier ones.

    Args:
        path: path of the file.
        keep: function that decides whether a line is included; None (default) includes all lines.
        damage: record to which damaged lines are added; None (default) logs a warning about them.

    Raises:
        LinesError: no line is a JSON object.
        FileNotFoundError: the file does not exist.
    """

    def __init__(
        self, path: str | Path, keep: Callable[[Line], bool] | None = None, damage: Damage | None = None
    ) -> None:
        self._source = LineSource(Path(path))
        record = damage
        if record is None:
            record = Damage()
        self._chosen = _choose(_add_positions(self._source.objects(record)), keep or (lambda _: True))
        _check(record, Path(path))
        if damage is None:
            _report(record, Path(path))

    def __iter__(self) -> Iterator[Line]:
        lines = _add_positions(self._source.objects(Damage()))
        return (line for line, is_chosen in zip(lines, self._chosen, strict=False) if is_chosen)

    def __len__(self) -> int:
        return self._chosen.count(1)

    @overload
    def __getitem__(self, index: int) -> Line: ...

    @overload
    def __getitem__(self, index: slice) -> list[Line]: ...

    def __getitem__(self, index: int | slice) -> Line | list[Line]:
        """Returns the line with a number, or the lines of a slice; the file is read up to that line."""
        if isinstance(index, slice):
            return list(self)[index]
        number = range(len(self))[index]
        return next(islice(self, number, None))


def read_lines(path: str | Path, keep: Callable[[Line], bool] | None = None, damage: Damage | None = None) -> Lines:
    """Opens a JSON lines file with scalars of a run; see :class:`Lines` for the arguments."""
    return Lines(path, keep, damage)


def has_training(path: str | Path) -> bool:
    """Whether a JSON lines file contains scalars of a training, and not only of a validation.

    Reading stops at the first line of a training.

    Raises:
        LinesError: the file was read to its end, and no line is a JSON object.
    """
    damage = Damage()
    lines = _add_positions(LineSource(Path(path)).objects(damage))
    if any(line.mode == "train" or line.iteration for line in lines):
        return True
    _check(damage, Path(path))
    return False


def _check(damage: Damage, path: Path) -> None:
    if damage.numbers and not damage.num_good:
        raise LinesError(f"{path}:{damage.numbers[0]}: expected a JSON object on each line, got {damage.first_text!r}")


def _report(damage: Damage, path: Path) -> None:
    """Logs a warning if a JSON lines file has damaged lines, and another if its last line is incomplete."""
    if damage.numbers:
        count = "a line is"
        if len(damage.numbers) > 1:
            count = f"{len(damage.numbers)} lines are"
        logger.warning(
            "%s: %s damaged and left out, the first is line %d: %r", path, count, damage.numbers[0], damage.first_text
        )
    if damage.ends_in_half:
        logger.warning("%s ends in half a line, which is left out", path)


def _add_positions(entries: Iterable[dict[str, Any]]) -> Iterator[Line]:
    """Converts JSON objects to lines, and adds the axis, iteration and mode where MMEngine has written the file.

    MMEngine writes these only indirectly: lines of training have the keys ``iter`` and ``epoch``. A line of validation
    has neither, and gets the iteration of the training line before it.
    """
    iteration, epoch = 0, None
    for raw in entries:
        values = {key: value for key, value in raw.items() if key not in POSITION_KEYS}
        step, axis, mode = raw.get("step", 0), raw.get("axis"), raw.get("mode")
        if "iteration" in raw:
            iteration = int(raw["iteration"])
        elif "iter" in values and step == values["iter"]:
            iteration, epoch = int(step), values.get("epoch")
            axis, mode = axis or "iter", mode or "train"
        elif axis is None and "iter" not in values and epoch is not None:
            axis, mode = "iter", mode or "val"
            if step == epoch:
                axis = "epoch"
        yield Line(values, step, axis, iteration, mode)


def _choose(lines: Iterable[Line], keep: Callable[[Line], bool]) -> bytearray:
    """Decides for each line whether it is part of the result: 1 if it is, 0 if it is not.

    A line is left out if ``keep`` returns False for it, or if a later line has the same or an earlier iteration after
    the iterations went back: the run was resumed from an earlier checkpoint and has written these iterations again.
    """
    chosen = bytearray()
    # Line numbers and iterations of the lines that no later line has replaced so far.
    numbers, iterations = array("q"), array("q")
    for number, line in enumerate(lines):
        iteration = line.iteration or 0
        if iterations and iteration < iterations[-1]:
            while iterations and iterations[-1] >= iteration:
                iterations.pop()
                chosen[numbers.pop()] = 0
        numbers.append(number)
        iterations.append(iteration)
        chosen.append(bool(keep(line)))
    return chosen


def survives(iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> Callable[[Line], bool]:
    """Returns a function that decides whether an earlier line is kept when a run resumes from a checkpoint.

    The function returns False for a line that the resumed run will write again. For the arguments see :func:`cut`.
    """
    is_repeated = {"val": validated_iteration < iteration, "epoch": not epoch_is_over}

    def keep(line: Line) -> bool:
        line_iteration = line.iteration or 0
        if line_iteration == iteration:
            return not is_repeated.get(line.mode or "train", False)
        return line_iteration < iteration

    return keep


def cut(lines: Iterable[Line], iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> list[Line]:
    """Returns the earlier lines that are kept when a run resumes: those that the resumed run will not write again.

    Args:
        lines: lines that were written before the resume.
        iteration: number of completed iterations at which the run resumes.
        validated_iteration: number of completed iterations at the last completed validation. If this is below
            ``iteration``, the validation at ``iteration`` was interrupted and will write its lines again.
        epoch_is_over: whether the run resumes between two epochs. If it resumes within an epoch, it will write the
            lines at the end of the epoch again.
    """
    keep = survives(iteration, validated_iteration, epoch_is_over=epoch_is_over)
    return [line for line in lines if keep(line)]


def on_axis(line: Line) -> Line:
    """Returns a line whose axis is set: to ``"iter"`` if the program that wrote the line did not record an axis."""
    if line.axis:
        return line
    return replace(line, axis="iter")


def tracker_name(name: str, mode: str | None) -> str:
    """Returns the name of a scalar's curve.

    The times and losses of a validation have the same names as those of training, so they get the prefix ``val/``.

    Example:
        >>> tracker_name("loss", "train"), tracker_name("loss", "val"), tracker_name("hard/loss", "val")
        ('loss', 'val/loss', 'hard/loss')
    """
    is_of_training_too = name in ("time", "data_time") or ("loss" in name and "/" not in name)
    if mode in ("val", "test") and is_of_training_too:
        return f"{mode}/{name}"
    return name
