"""Settings by measurement: learning rate, batch size, workers, and sweeps that lose no trial."""

from __future__ import annotations

from ._executors import Executor, Job, LocalExecutor, RayExecutor, SubmititExecutor
from ._folder import Result, Run, Trial
from ._report import SweepReport, load_sweep
from ._search import Grid, OptunaSearch, RandomSearch
from ._space import Choice, Float, Int, Normal
from ._sweep import sweep
from ._version import __version__
from .errors import MissingMetricError, SpaceError, StorageError, SweepError

__all__ = [
    "Choice",
    "Executor",
    "Float",
    "Grid",
    "Int",
    "Job",
    "LocalExecutor",
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
    "__version__",
    "load_sweep",
    "sweep",
]
