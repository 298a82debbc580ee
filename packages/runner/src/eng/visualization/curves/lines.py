"""JSON lines of scalars: reading them, and cutting them where a run goes on."""

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
# What tells where a line belongs, beside its values.
POSITION_KEYS = ("step", "axis", "iteration", "mode")


class LinesError(ValueError):
    """A file is not made of JSON lines; the message names file and line."""


@dataclass(frozen=True)
class Line:
    """Values that belong to one step.

    Args:
        values: by name.
        step: their position on the axis.
        axis: ``"iter"`` or ``"epoch"``; None where the writer did not say.
        iteration: training iterations that were over once the line was due; None where nobody counted.
        mode: ``"train"``, ``"val"`` or ``"test"``; ``"epoch"`` for what is written between iterations, as at the end of an
            epoch.
    """

    values: dict[str, Any]
    step: int = 0
    axis: str | None = None
    iteration: int | None = None
    mode: str | None = None

    @property
    def position(self) -> dict[str, Any]:
        """The keywords that say where the line belongs, those that are known."""
        known = {"axis": self.axis, "iteration": self.iteration, "mode": self.mode}
        return {key: value for key, value in known.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """The line as it stands in a file."""
        return {**self.values, "step": self.step, **self.position}


class Lines(Sequence[Line]):
    """The lines of a file, each step once, read anew whenever somebody goes through them.

    A run that was stopped while it wrote leaves half a line at the end, which is left out, and so are lines that a power
    cut or another program damaged. Where a file goes back to an earlier iteration (MMEngine appends to the file of the
    run that it goes on with), the later lines count.

    Args:
        path: of the file.
        keep: which lines to take; all by default.
        damage: where lines that cannot be read are noted; they are logged by default.

    Raises:
        LinesError: no line is a JSON object.
        FileNotFoundError: there is no such file.
    """

    def __init__(
        self, path: str | Path, keep: Callable[[Line], bool] | None = None, damage: Damage | None = None
    ) -> None:
        self._source = LineSource(Path(path))
        noted = Damage() if damage is None else damage
        self._chosen = _choose(_with_positions(self._source.objects(noted)), keep or (lambda _: True))
        _check(noted, Path(path))
        if damage is None:
            _report(noted, Path(path))

    def __iter__(self) -> Iterator[Line]:
        lines = _with_positions(self._source.objects(Damage()))
        return (line for line, is_chosen in zip(lines, self._chosen, strict=False) if is_chosen)

    def __len__(self) -> int:
        return self._chosen.count(1)

    @overload
    def __getitem__(self, index: int) -> Line: ...

    @overload
    def __getitem__(self, index: slice) -> list[Line]: ...

    def __getitem__(self, index: int | slice) -> Line | list[Line]:
        """A line by its number; reads the file up to it."""
        if isinstance(index, slice):
            return list(self)[index]
        number = range(len(self))[index]
        return next(islice(self, number, None))


def read_lines(path: str | Path, keep: Callable[[Line], bool] | None = None, damage: Damage | None = None) -> Lines:
    """The lines of a file; see :class:`Lines`."""
    return Lines(path, keep, damage)


def has_training(path: str | Path) -> bool:
    """Whether a file holds lines of a training, and not of a validation alone; looks no further than the first of them.

    Raises:
        LinesError: no line up to there is a JSON object.
    """
    damage = Damage()
    lines = _with_positions(LineSource(Path(path)).objects(damage))
    if any(line.mode == "train" or line.iteration for line in lines):
        return True
    _check(damage, Path(path))
    return False


def _check(damage: Damage, path: Path) -> None:
    if damage.numbers and not damage.num_good:
        raise LinesError(f"{path}:{damage.numbers[0]}: expected a JSON object on each line, got {damage.first_text!r}")


def _report(damage: Damage, path: Path) -> None:
    if damage.numbers:
        count = f"{len(damage.numbers)} lines are" if len(damage.numbers) > 1 else "a line is"
        logger.warning(
            "%s: %s damaged and left out, the first is line %d: %r", path, count, damage.numbers[0], damage.first_text
        )
    if damage.ends_in_half:
        logger.warning("%s ends in half a line, which is left out", path)


def _with_positions(entries: Iterable[dict[str, Any]]) -> Iterator[Line]:
    """Lines with axis and iteration; MMEngine's tell them only for training, and validation lies behind it."""
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
            axis, mode = ("epoch" if step == epoch else "iter"), mode or "val"
        yield Line(values, step, axis, iteration, mode)


def _choose(lines: Iterable[Line], keep: Callable[[Line], bool]) -> bytearray:
    """For each line, 1 where it counts: it is to be kept, and no later line goes back to its iteration or before."""
    chosen = bytearray()
    numbers, iterations = array("q"), array("q")  # of the lines that count so far
    for number, line in enumerate(lines):
        here = line.iteration or 0
        if iterations and here < iterations[-1]:
            while iterations and iterations[-1] >= here:
                iterations.pop()
                chosen[numbers.pop()] = 0
        numbers.append(number)
        iterations.append(here)
        chosen.append(1 if keep(line) else 0)
    return chosen


def survives(iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> Callable[[Line], bool]:
    """Whether a run that goes on will not produce a line again; arguments as of :func:`cut`."""
    comes_again = {"val": validated_iteration < iteration, "epoch": not epoch_is_over}

    def keep(line: Line) -> bool:
        here = line.iteration or 0
        return here < iteration or (here == iteration and not comes_again.get(line.mode or "train", False))

    return keep


def cut(lines: Iterable[Line], iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> list[Line]:
    """The lines that a run which goes on will not produce again.

    Args:
        lines: of the run so far.
        iteration: iterations that are over where it goes on.
        validated_iteration: iterations that were over at the last whole validation; a validation that was due at
            `iteration` and not over runs again.
        epoch_is_over: False where the run goes on inside an epoch, whose end, if that is next, comes again.
    """
    keep = survives(iteration, validated_iteration, epoch_is_over=epoch_is_over)
    return [line for line in lines if keep(line)]


def on_axis(line: Line) -> Line:
    """The line with an axis in any case: the iteration where nobody said."""
    return line if line.axis else replace(line, axis="iter")


def tracker_name(name: str, mode: str | None) -> str:
    """The name of a value's curve: a validation's times and losses have the names of training's in the lines.

    Example:
        >>> tracker_name("loss", "train"), tracker_name("loss", "val"), tracker_name("hard/loss", "val")
        ('loss', 'val/loss', 'hard/loss')
    """
    is_of_training_too = name in ("time", "data_time") or ("loss" in name and "/" not in name)
    return f"{mode}/{name}" if mode in ("val", "test") and is_of_training_too else name
