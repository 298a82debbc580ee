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
# Keys of a line that give its position in the run; all other keys are scalars.
POSITION_KEYS = ("step", "axis", "iteration", "mode")


class LinesError(ValueError):
    """A file does not contain JSON lines; the message has the file and the line."""


@dataclass(frozen=True)
class Line:
    """The scalars of one step.

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
        """The recorded ones of ``axis``, ``iteration`` and ``mode``, as keyword arguments."""
        known = {"axis": self.axis, "iteration": self.iteration, "mode": self.mode}
        return {key: value for key, value in known.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Returns the line as the JSON object that is written to a file."""
        return {**self.values, "step": self.step, **self.position}


class Lines(Sequence[Line]):
    """The lines of a file, without repeated steps. Each iteration over the object reads the file again.

    Damaged lines and an incomplete last line, which a killed run leaves, are left out. If the iterations in a file go back,
    because MMEngine appends to the file of the run that it resumes, the later lines replace the earlier ones.

    Args:
        path: path of the file.
        keep: function that selects lines; None (default) selects all.
        damage: gets the record of lines that cannot be read; None (default) logs a warning about them.

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
        """Returns a line by its number, for which the file is read up to that line."""
        if isinstance(index, slice):
            return list(self)[index]
        number = range(len(self))[index]
        return next(islice(self, number, None))


def read_lines(path: str | Path, keep: Callable[[Line], bool] | None = None, damage: Damage | None = None) -> Lines:
    """Reads the lines of a file; see :class:`Lines` for the arguments."""
    return Lines(path, keep, damage)


def has_training(path: str | Path) -> bool:
    """Whether a file contains lines of a training, and not only of a validation. Reading stops at the first such line.

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
    """Logs warnings about damaged lines and an incomplete last line."""
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
    """Converts JSON objects to lines, and adds missing axes, iterations and modes.

    MMEngine writes ``iter`` and ``epoch`` only for training. A validation gets those of the training line before it.
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
    """Returns 1 or 0 for each line: 1 if ``keep`` selects it and no later line goes back to its iteration or before."""
    chosen = bytearray()
    # Numbers and iterations of the lines that no later line has replaced so far.
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
    """Returns a function that tells whether a resumed run will not write a line again; see :func:`cut` for the arguments."""
    is_repeated = {"val": validated_iteration < iteration, "epoch": not epoch_is_over}

    def keep(line: Line) -> bool:
        line_iteration = line.iteration or 0
        if line_iteration == iteration:
            return not is_repeated.get(line.mode or "train", False)
        return line_iteration < iteration

    return keep


def cut(lines: Iterable[Line], iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> list[Line]:
    """Returns the lines that a resumed run will not write again.

    Args:
        lines: lines of the run before the resume.
        iteration: number of completed iterations at which the run resumes.
        validated_iteration: number of completed iterations at the last completed validation. If it is below ``iteration``,
            a validation at ``iteration`` was interrupted and runs again.
        epoch_is_over: whether the run resumes between two epochs. Inside an epoch, the lines of its end are written again.
    """
    keep = survives(iteration, validated_iteration, epoch_is_over=epoch_is_over)
    return [line for line in lines if keep(line)]


def on_axis(line: Line) -> Line:
    """Returns the line with the axis ``"iter"`` if its writer did not record an axis."""
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
