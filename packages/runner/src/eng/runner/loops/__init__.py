"""Loops: the way of batches through a run."""

from ._cursor import _InfiniteDataloaderIterator
from .base import BaseLoop
from .epoch import EpochBasedTrainLoop
from .evaluation import TestLoop, ValLoop
from .iteration import IterBasedTrainLoop
from .several import SeveralTestLoop, SeveralValLoop
from .training import TrainLoop

__all__ = [
    "BaseLoop",
    "TrainLoop",
    "EpochBasedTrainLoop",
    "IterBasedTrainLoop",
    "ValLoop",
    "TestLoop",
    "SeveralValLoop",
    "SeveralTestLoop",
    "_InfiniteDataloaderIterator",
]
