"""Chooses the points that a sweep tries: all points of a grid, or random points. Optuna's are in `_optuna.py`."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._folder import Trial
from ._search import Grid, Point, RandomSearch, Search, Searcher, check_num_trials
from ._space import Choice, Distribution
from .errors import SpaceError

__all__ = ["searcher_of"]


@dataclass(frozen=True)
class _Listed:
    """Base class of grid and random search, in which the number of a trial alone determines its parameter values."""

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
        # Like the digits of a number: the last config key changes with every trial, the first one most rarely.
        for key in reversed(list(self.space)):
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
    """Creates the object that chooses the parameter values of each trial of a sweep.

    Args:
        search: settings of the search.
        space: values or distribution of each varied config key (axis).
        folder: folder of the sweep.
        owner: unique name of this sweep in an Optuna storage that several sweeps share.
        seed: seed of the sweep.
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
    # `_optuna` needs the module fcntl, which Windows lacks, so it is imported for Optuna searches only.
    from ._optuna import OptunaSearcher

    return OptunaSearcher(search, space, folder=folder, owner=owner, seed=seed, mode=mode)
