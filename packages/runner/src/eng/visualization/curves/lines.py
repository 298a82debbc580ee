"""JSON lines of scalars: reading them, and cutting them where a run goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["Line", "LinesError", "cut", "has_training", "read_lines"]

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


def read_lines(path: str | Path) -> list[Line]:
    """The lines of a file, each step once.

    A run that was stopped while it wrote leaves half a line at the end, which is left out. Where a file goes back to an
    earlier iteration (MMEngine appends to the file of the run that it goes on with), the later lines count.

    Raises:
        LinesError: another line is no JSON object.
        FileNotFoundError: there is no such file.
    """
    return _without_repeats(_with_positions(_parse(Path(path))))


def has_training(path: str | Path) -> bool:
    """Whether a file holds lines of a training, and not of a validation alone; looks no further than the first of them.

    Raises:
        LinesError: a line up to there is no JSON object.
    """
    return any(line.mode == "train" or line.iteration for line in _with_positions(_parse(Path(path))))


def _parse(path: Path) -> Iterator[dict[str, Any]]:
    texts = [text for text in path.read_text(encoding="utf-8").split("\n") if text.strip()]
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(texts) and text.lstrip().startswith("{"):
                logger.warning("%s ends in half a line, which is left out", path)
                return
            raise LinesError(f"{path}:{number}: expected a JSON object on each line, got {text[:60]!r}") from error
        if not isinstance(line, dict):
            raise LinesError(f"{path}:{number}: expected a JSON object on each line, got {text[:60]!r}")
        yield line


def _with_positions(found: Iterable[dict[str, Any]]) -> Iterator[Line]:
    """Lines with axis and iteration; MMEngine's tell them only for training, and validation lies behind it."""
    iteration, epoch = 0, None
    for raw in found:
        values = {key: value for key, value in raw.items() if key not in POSITION_KEYS}
        step, axis, mode = raw.get("step", 0), raw.get("axis"), raw.get("mode")
        if "iteration" in raw:
            iteration = raw["iteration"]
        elif "iter" in values and step == values["iter"]:
            iteration, epoch = values["iter"], values.get("epoch")
            axis, mode = axis or "iter", mode or "train"
        elif axis is None and "iter" not in values and epoch is not None:
            axis, mode = ("epoch" if step == epoch else "iter"), mode or "val"
        yield Line(values, step, axis, iteration, mode)


def _without_repeats(lines: Iterable[Line]) -> list[Line]:
    kept: list[Line] = []
    for line in lines:
        here = line.iteration or 0
        if kept and here < (kept[-1].iteration or 0):
            while kept and (kept[-1].iteration or 0) >= here:
                kept.pop()
        kept.append(line)
    return kept


def cut(lines: Iterable[Line], iteration: int, validated_iteration: int, *, epoch_is_over: bool = True) -> list[Line]:
    """The lines that a run which goes on will not produce again.

    Args:
        lines: of the run so far.
        iteration: iterations that are over where it goes on.
        validated_iteration: iterations that were over at the last whole validation; a validation that was due at
            `iteration` and not over runs again.
        epoch_is_over: False where the run goes on inside an epoch, whose end, if that is next, comes again.
    """
    comes_again = {"val": validated_iteration < iteration, "epoch": not epoch_is_over}
    return [
        line
        for line in lines
        if (line.iteration or 0) < iteration
        or (line.iteration == iteration and not comes_again.get(line.mode or "train", False))
    ]


def on_axis(line: Line) -> Line:
    """The line with an axis in any case: the iteration where nobody said."""
    return line if line.axis else replace(line, axis="iter")


def tracker_name(name: str, mode: str | None) -> str:
    """How a value is called where all curves lie side by side: times of a validation are not those of training."""
    return f"{mode}/{name}" if mode in ("val", "test") and name in ("time", "data_time") else name
