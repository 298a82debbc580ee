"""The axes of a sweep's search space: lists and distributions of the values that a config key can take."""

from __future__ import annotations

import argparse
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, ClassVar, TypeAlias

from ._text import near_names
from .errors import SpaceError

__all__ = [
    "Choice",
    "Distribution",
    "Float",
    "Int",
    "Normal",
    "as_space",
    "described",
    "from_json",
    "parse_axes",
    "parse_axis",
    "to_json",
]


@dataclass(frozen=True)
class Choice:
    """An axis (varied config key) of a sweep whose value is chosen from a list.

    Args:
        values: at least one value; numbers, strings, None, lists and dicts of them.

    Raises:
        SpaceError: the list is empty.
    """

    values: tuple[Any, ...]
    name: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise SpaceError("choice() is empty: give at least one value")

    def draw(self, generator: random.Random) -> Any:
        """Draws one of the values, each with the same probability."""
        return self.values[generator.randrange(len(self.values))]


@dataclass(frozen=True)
class Float:
    """An axis (varied config key) of a sweep whose value is a float in a range.

    Args:
        low: smallest value.
        high: largest value.
        log: whether the logarithm of the value is uniformly distributed, as for learning rates. False by default.
        step: distance between neighbouring values; None (default) allows every number in the range.

    Raises:
        SpaceError: the range is empty, or includes 0 or negative numbers with ``log=True``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        _check_range(self)
        if self.step is not None and (self.log or self.step <= 0):
            raise SpaceError(f"{_shown(self)}: a step must be above 0 and fits no logarithmic range")

    def draw(self, generator: random.Random) -> float:
        """Draws a float from the range, uniformly or (with ``log``) uniformly in its logarithm."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
            return min(max(value, self.low), self.high)
        if self.step is not None:
            return self.low + self.step * generator.randint(0, math.floor((self.high - self.low) / self.step + 1e-9))
        return generator.uniform(self.low, self.high)


@dataclass(frozen=True)
class Int:
    """An axis (varied config key) of a sweep whose value is an integer in a range, both ends included.

    Args:
        low: smallest value.
        high: largest value.
        log: whether the logarithm of the value is uniformly distributed. False by default.
        step: distance between neighbouring values. 1 by default.

    Raises:
        SpaceError: the range is empty, or includes 0 or negative numbers with ``log=True``.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    name: ClassVar[str] = "int"

    def __post_init__(self) -> None:
        _check_range(self)
        if self.step < 1 or (self.log and self.step != 1):
            raise SpaceError(f"{_shown(self)}: a step must be at least 1 and fits no logarithmic range")

    def draw(self, generator: random.Random) -> int:
        """Draws an integer from the range, uniformly or (with ``log``) uniformly in its logarithm."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high + 1)))
            return min(max(int(value), self.low), self.high)
        return self.low + self.step * generator.randint(0, (self.high - self.low) // self.step)


@dataclass(frozen=True)
class Normal:
    """An axis (varied config key) of a sweep whose value is a normally distributed float; only for random search.

    Args:
        mean: mean of the distribution.
        std: standard deviation of the distribution, above 0.

    Raises:
        SpaceError: ``std`` is not above 0.
    """

    mean: float
    std: float
    name: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise SpaceError(f"{described(self)}: the standard deviation must be above 0")

    def draw(self, generator: random.Random) -> float:
        """Draws a float from the normal distribution."""
        return generator.gauss(self.mean, self.std)


Distribution: TypeAlias = Choice | Float | Int | Normal
_CLASSES: dict[str, type] = {cls.name: cls for cls in (Choice, Float, Int, Normal)}
_FUNCTIONS = ("choice", "uniform", "loguniform", "int", "logint", "normal")
_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


def _check_range(axis: Float | Int) -> None:
    """Raises SpaceError if a range is empty or not finite, or if a logarithmic range includes 0 or negative numbers."""
    if not (math.isfinite(axis.low) and math.isfinite(axis.high)) or axis.low > axis.high:
        raise SpaceError(f"{_shown(axis)} is empty: the low end must not be above the high end")
    if axis.log and axis.low <= 0:
        raise SpaceError(f"{_shown(axis)}: a logarithmic range begins above 0")


def _shown(axis: Float | Int) -> str:
    step = "" if axis.step == type(axis).step else f", {axis.step!r}"
    return f"{'log' if axis.log else ''}{axis.name}({axis.low!r}, {axis.high!r}{step})"


def parse_axis(text: str) -> tuple[str, Distribution]:
    """Parses a command-line argument that names a config key to vary; returns the key and its values or distribution.

    Args:
        text: ``KEY=VALUE,VALUE,...``, or ``KEY=`` with ``choice(A,B,...)``, ``uniform(LOW,HIGH[,STEP])``,
            ``loguniform(LOW,HIGH)``, ``int(LOW,HIGH[,STEP])``, ``logint(LOW,HIGH)`` or ``normal(MEAN,STD)``.

    Raises:
        SpaceError: the text has none of these forms, or contains no value.

    Examples:
        >>> parse_axis("model.depth=18,34")
        ('model.depth', Choice(values=(18, 34)))
        >>> parse_axis("lr=loguniform(1e-4, 1e-1)")
        ('lr', Float(low=0.0001, high=0.1, log=True, step=None))
    """
    key, separator, values = (part.strip() for part in text.partition("="))
    if not separator or not key or key.startswith("-"):
        raise SpaceError(f"an axis is written KEY=VALUES, got {text!r}")
    if not values:
        raise SpaceError(f"{key}: the axis is empty; give values, such as {key}=1,2")
    call = _CALL.fullmatch(values)
    if call is not None and call[1] not in _FUNCTIONS:
        depths = accumulate((character == "(") - (character == ")") for character in call[2])
        # The text starts as a call and ends with a bracket. If the last bracket closes the first one, the text is a
        # single call, such as int(1,4), of an unknown function.
        if min(depths, default=0) >= 0:
            hint = near_names(call[1], _FUNCTIONS).rstrip("?")
            raise SpaceError(f"{key}: there is no distribution {call[1]}{hint}; write a text with brackets in quotes")
        call = None  # Otherwise the text is a list of strings, such as f(x),g(y).
    try:
        return key, Choice(_parse_values(values)) if call is None else _distribution_of_call(call[1], call[2])
    except SpaceError as error:
        raise SpaceError(f"{key}: {error}") from error


def parse_axes(texts: Iterable[str]) -> dict[str, Distribution]:
    """Parses the arguments of a command line that name config keys to vary.

    The result maps each config key to its values or distribution.

    Args:
        texts: the arguments in the form that :func:`parse_axis` reads.

    Raises:
        SpaceError: a text is not a valid axis, or two texts have the same key.
    """
    axes: dict[str, Distribution] = {}
    for text in texts:
        key, axis = parse_axis(text)
        if key in axes:
            raise SpaceError(f"{key} is given twice; write all its values in one list: {key}=A,B")
        axes[key] = axis
    return axes


def _distribution_of_call(function: str, inside: str) -> Distribution:
    """Creates the distribution for a call on the command line, such as ``loguniform(1e-4,1e-1)``.

    Args:
        function: name of the function: one of ``_FUNCTIONS``.
        inside: the text between the brackets.

    Raises:
        SpaceError: the arguments are not numbers, or too few or too many.
    """
    if function == "choice":
        return Choice(_parse_values(inside) if inside.strip() else ())
    numbers = [number.strip() for number in inside.split(",")]
    takes_integers = function in ("int", "logint")
    try:
        values = [int(number) if takes_integers else float(number) for number in numbers]
    except ValueError as error:
        numbers_wanted = "whole numbers" if takes_integers else "numbers"
        raise SpaceError(f"{function}({inside}) takes {numbers_wanted}") from error
    most = 3 if function in ("uniform", "int") else 2
    if not 2 <= len(values) <= most:
        raise SpaceError(f"{function}({inside}) takes {'2 or 3' if most == 3 else 2} numbers, got {len(values)}")
    if function == "normal":
        return Normal(*values)
    is_log = function.startswith("log")
    step = values[2:]
    if takes_integers:
        return Int(int(values[0]), int(values[1]), is_log, *map(int, step))
    return Float(values[0], values[1], is_log, *step)


def _parse_values(text: str) -> tuple[Any, ...]:
    """Parses a comma-separated list of values as ``--cfg-options`` does: numbers, strings, lists and mappings."""
    from eng.config import DictAction

    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--axis", nargs="+", action=DictAction)
    try:
        value = parser.parse_args(["--axis", f"x={text}"]).axis["x"]
    except argparse.ArgumentError as error:
        raise SpaceError(error.message) from error
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def as_space(axes: Mapping[str, Any]) -> dict[str, Distribution]:
    """Returns the search space of a sweep by config key, with lists and tuples of values converted to :class:`Choice`.

    Raises:
        SpaceError: an axis is neither a list nor a distribution, or is empty.
    """
    space = {}
    for key, axis in axes.items():
        if isinstance(axis, Sequence) and not isinstance(axis, str):
            if not axis:
                raise SpaceError(f"{key}: the axis is empty; give at least one value")
            axis = Choice(tuple(axis))
        if not isinstance(axis, Choice | Float | Int | Normal):
            raise SpaceError(f"{key}: an axis is a list, Choice, Float, Int or Normal, got {type(axis).__name__}")
        space[key] = axis
    return space


def described(axis: Distribution) -> str:
    """Formats an axis as on the command line, such as ``"uniform(0.0, 1.0)"``."""
    if isinstance(axis, Choice):
        return f"choice({', '.join(map(repr, axis.values))})"
    if isinstance(axis, Normal):
        return f"normal({axis.mean!r}, {axis.std!r})"
    return _shown(axis)


def to_json(axis: Distribution) -> dict[str, Any]:
    """Returns an axis as a dict of plain values, for JSON."""
    return {"type": axis.name, **asdict(axis)}


def from_json(data: Mapping[str, Any]) -> Distribution:
    """Creates an axis from the dict that :func:`to_json` returned."""
    settings = {key: value for key, value in data.items() if key != "type"}
    axis: Distribution = _CLASSES[data["type"]](**settings)
    return axis
