"""The settings of a search, and what the controller of a sweep asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias

from ._folder import Trial
from .errors import SweepError

__all__ = ["Grid", "OptunaSearch", "Point", "RandomSearch", "Search", "Searcher", "check_num_trials"]


@dataclass(frozen=True)
class Grid:
    """All combinations of the axes' values; each axis is a list."""


@dataclass(frozen=True)
class RandomSearch:
    """Random points, a function of the sweep's seed and the trial's number.

    Args:
        num_trials: how many.
    """

    num_trials: int


@dataclass(frozen=True)
class OptunaSearch:
    """Points that a sampler of Optuna chooses from the results so far.

    Args:
        num_trials: how many, over all controllers that share the storage.
        sampler: name of a class of ``optuna.samplers``. ``"TPESampler"`` by default.
        sampler_args: its arguments.
        pruner: name of a class of ``optuna.pruners`` that may end runs early. None (default) ends none.
        pruner_args: its arguments.
        storage: URL of a database, or path of a journal file; None (default) is a journal in the folder of the sweep.
        study: name of the study; None (default) is that of the folder.
    """

    num_trials: int
    sampler: str = "TPESampler"
    sampler_args: dict[str, Any] = field(default_factory=dict)
    pruner: str | None = None
    pruner_args: dict[str, Any] = field(default_factory=dict)
    storage: str | None = None
    study: str | None = None


Search: TypeAlias = Grid | RandomSearch | OptunaSearch


@dataclass(frozen=True)
class Point:
    """What the next trial is.

    Args:
        number: of the trial.
        params: values by key.
        extra: what the search keeps in the trial's folder.
    """

    number: int
    params: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)


class Searcher(Protocol):
    """Gives the points of a sweep and learns from their values."""

    def recover(self, trials: Mapping[int, Trial]) -> list[Point]:
        """The points that an earlier controller drew and made no folder for."""

    def next_point(self, trials: Mapping[int, Trial]) -> Point | None:
        """The next point; None where the search is over."""

    def tell(self, trial: Trial) -> None:
        """Takes the state and value of a trial that is over; the same trial may come again."""


def check_num_trials(num_trials: int) -> None:
    """Makes sure that a search has a trial.

    Raises:
        SweepError: it has none.
    """
    if num_trials < 1:
        raise SweepError(f"a sweep needs at least 1 trial, got {num_trials}")


def search_to_json(search: Search) -> dict[str, Any]:
    """The settings of a search as plain data."""
    return {"type": type(search).__name__, **asdict(search)}


def search_from_json(data: Mapping[str, Any]) -> Search:
    """The settings that :func:`search_to_json` wrote."""
    settings = {key: value for key, value in data.items() if key != "type"}
    if data["type"] == "Grid":
        return Grid()
    return RandomSearch(**settings) if data["type"] == "RandomSearch" else OptunaSearch(**settings)
