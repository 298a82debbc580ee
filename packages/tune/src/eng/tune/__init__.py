"""Finds settings by measurement: learning rate, batch size and number of workers, and sweeps over several settings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._executors import Executor, Job, LocalExecutor, RayExecutor, SubmititExecutor
from ._folder import Result, Run, Trial
from ._report import SweepReport, load_sweep
from ._search import Grid, OptunaSearch, RandomSearch
from ._space import Choice, Float, Int, Normal
from ._sweep import sweep
from ._version import __version__
from .errors import MissingMetricError, SpaceError, StorageError, SweepError, TuneError

if TYPE_CHECKING:
    from ._batch import BatchSearch, find_batch_size
    from ._lr import LrSearch, find_lr
    from ._workers import WorkerSearch, find_workers

__all__ = [
    "BatchSearch",
    "Choice",
    "Executor",
    "Float",
    "Grid",
    "Int",
    "Job",
    "LocalExecutor",
    "LrSearch",
    "MissingMetricError",
    "Normal",
    "OptunaSearch",
    "RandomSearch",
    "RayExecutor",
    "Result",
    "Run",
    "SpaceError",
    "StorageError",
    "SubmititExecutor",
    "SweepError",
    "SweepReport",
    "Trial",
    "TuneError",
    "WorkerSearch",
    "__version__",
    "find_batch_size",
    "find_lr",
    "find_workers",
    "load_sweep",
    "sweep",
]

# Functions in modules that import torch; each is imported when it is first used. The controller process of a sweep
# does not need torch and starts faster without it.
_WITH_TORCH = {
    "BatchSearch": "_batch",
    "find_batch_size": "_batch",
    "LrSearch": "_lr",
    "find_lr": "_lr",
    "WorkerSearch": "_workers",
    "find_workers": "_workers",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WITH_TORCH[name]}", __name__), name)
