"""The base of every loop."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

from eng.runner.assemble.workers import end_workers, shield_workers
from eng.runner.settings import Randomness

from ._generators import give_generators, key_samples
from ._ranks import shared_loader
from ._shares import warn_of_repeated_stream


class BaseLoop(metaclass=ABCMeta):
    """Runs over the batches of a dataloader.

    A loop of your own takes ``runner`` and ``dataloader`` first, is registered in ``LOOPS`` and named by ``type`` in
    ``train_cfg``, ``val_cfg`` or ``test_cfg``; further keys of that config become its arguments.

    Args:
        runner: the run that the loop belongs to.
        dataloader: batches, or the config of a dataloader.
    """

    def __init__(self, runner: Any, dataloader: Any) -> None:
        self._runner = runner
        randomness: Randomness | None = getattr(runner, "randomness", None)
        if isinstance(dataloader, dict):
            dataloader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=randomness is not None and randomness.diff_rank_seed,
                per_sample=randomness is None or randomness.per_sample,
            )
        else:
            dataloader = shared_loader(dataloader, getattr(runner, "seed", None))
            if randomness is not None and randomness.per_sample:
                key_samples(dataloader, runner.seed)
        warn_of_repeated_stream(dataloader)
        shield_workers(dataloader)
        give_generators(dataloader, getattr(runner, "seed", None))
        self.dataloader = dataloader
        metainfo = getattr(getattr(dataloader, "dataset", None), "metainfo", None)
        if metainfo is not None:
            runner.visualizer.dataset_meta = metainfo

    @property
    def runner(self) -> Any:
        """The run that the loop belongs to."""
        return self._runner

    def end_workers(self) -> None:
        """Ends worker processes that stay between passes; for a run that is over."""
        end_workers(getattr(self, "dataloader", None))  # a loop of another library may have none

    @abstractmethod
    def run(self) -> Any:
        """Runs over all batches."""
