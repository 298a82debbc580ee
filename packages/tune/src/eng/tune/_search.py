"""The settings of the three searches (grid, random, Optuna), and the interface through which a sweep uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias

from ._folder import Trial
from .errors import SweepError

__all__ = ["Grid", "OptunaSearch", "Point", "RandomSearch", "Search", "Searcher", "check_num_trials"]


@dataclass(frozen=True)
class Grid:
    """Search that tries every combination of the values of the varied config keys; the values must be lists."""


@dataclass(frozen=True)
class RandomSearch:
    """Search that draws the parameter values of each trial at random.

    The values of a trial depend only on the seed of the sweep and the number of the trial, so they can be repeated.

    Args:
        num_trials: number of trials.
    """

    num_trials: int


@dataclass(frozen=True)
class OptunaSearch:
    """Search in which a sampler of Optuna chooses the parameter values of each trial from earlier results.

    Args:
        num_trials: number of trials, in total for all sweeps that share the storage.
        sampler: name of a class in ``optuna.samplers``. ``"TPESampler"`` by default.
        sampler_args: arguments of the sampler.
        pruner: name of a class in ``optuna.pruners`` that may end runs early. None (default) ends no run.
        pruner_args: arguments of the pruner.
        storage: URL of a database, or path of a journal file; None (default) uses a journal in the sweep's folder.
        study: name of the study; None (default) uses the name of the sweep's folder.
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
    """The parameter values that a search has chosen for a new trial.

    Args:
        number: number of the trial.
        params: value of each varied config key.
        extra: data of the search that is stored in the trial's folder, such as the number of the trial in Optuna.
    """

    number: int
    params: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)


class Searcher(Protocol):
    """Interface of the objects that choose the parameter values of each trial, possibly from earlier results."""

    def recover(self, trials: Mapping[int, Trial]) -> list[Point]:
        """Returns the points that a killed controller drew, but for which it had not created a trial folder yet."""

    def next_point(self, trials: Mapping[int, Trial]) -> Point | None:
        """Returns the parameter values for the next trial; None if the search is finished."""

    def tell(self, trial: Trial) -> None:
        """Tells the search the result of a finished trial; a restarted controller may tell the same trial again."""


def check_num_trials(num_trials: int) -> None:
    """Checks that a search has at least one trial.

    Raises:
        SweepError: `num_trials` is below 1.
    """
    if num_trials < 1:
        raise SweepError(f"a sweep needs at least 1 trial, got {num_trials}")


def search_to_json(search: Search) -> dict[str, Any]:
    """Returns the settings of a search as a dict of plain values, for JSON."""
    return {"type": type(search).__name__, **asdict(search)}


def search_from_json(data: Mapping[str, Any]) -> Search:
    """Creates the settings of a search from the dict that :func:`search_to_json` returned."""
    settings = {key: value for key, value in data.items() if key != "type"}
    if data["type"] == "Grid":
        return Grid()
    return RandomSearch(**settings) if data["type"] == "RandomSearch" else OptunaSearch(**settings)
