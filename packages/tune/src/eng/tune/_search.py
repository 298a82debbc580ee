"""Which points of a space a sweep tries: all of a grid, random ones, or those that Optuna chooses."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ._folder import Trial
from ._space import Choice, Distribution
from .errors import SpaceError, SweepError

__all__ = ["Grid", "OptunaSearch", "Point", "RandomSearch", "Search", "Searcher", "searcher_of"]


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


@dataclass(frozen=True)
class _Listed:
    """Points that follow from their numbers alone."""

    num_trials: int

    def recover(self, trials: Mapping[int, Trial]) -> list[Point]:
        return []

    def next_point(self, trials: Mapping[int, Trial]) -> Point | None:
        for number in range(self.num_trials):
            if number not in trials:
                return Point(number, self.params(number))
        return None

    def tell(self, trial: Trial) -> None:
        pass

    def params(self, number: int) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class _GridSearcher(_Listed):
    space: Mapping[str, Choice]

    def params(self, number: int) -> dict[str, Any]:
        values = {}
        for key in reversed(list(self.space)):  # the last axis changes fastest
            number, index = divmod(number, len(self.space[key].values))
            values[key] = self.space[key].values[index]
        return {key: values[key] for key in self.space}


@dataclass(frozen=True)
class _RandomSearcher(_Listed):
    space: Mapping[str, Distribution]
    seed: int

    def params(self, number: int) -> dict[str, Any]:
        generator = random.Random(f"eng.tune {self.seed} {number}")
        return {key: axis.draw(generator) for key, axis in self.space.items()}


def searcher_of(
    search: Search, space: Mapping[str, Distribution], *, folder: Path, owner: str, seed: int, mode: str
) -> Searcher:
    """What gives the points of a search.

    Args:
        search: its settings.
        space: the axes.
        folder: of the sweep.
        owner: name of this sweep among those that share a storage.
        seed: of the sweep.
        mode: ``"max"`` or ``"min"``.

    Raises:
        SpaceError: the search cannot use one of the axes.
        SweepError: a setting of the search is wrong.
        StorageError: the storage of the search cannot be used.
    """
    if isinstance(search, Grid):
        lists = {key: axis for key, axis in space.items() if isinstance(axis, Choice)}
        for key in space:
            if key not in lists:
                raise SpaceError(f"{key}: a grid takes lists of values; use --random or --optuna for ranges")
        return _GridSearcher(math.prod(len(axis.values) for axis in lists.values()), lists)
    if isinstance(search, RandomSearch):
        check_num_trials(search.num_trials)
        return _RandomSearcher(search.num_trials, space, seed)
    from ._optuna import OptunaSearcher

    return OptunaSearcher(search, space, folder=folder, owner=owner, seed=seed, mode=mode)


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
