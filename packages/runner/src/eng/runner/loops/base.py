"""The base of every loop."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

from eng.runner.assemble.workers import shield_workers

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
        if isinstance(dataloader, dict):
            randomness = runner._randomness_cfg  # noqa: SLF001  - the loop is a part of the run
            dataloader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=randomness.get("diff_rank_seed", False),
                per_sample=runner._per_sample,  # noqa: SLF001  - as above; set_randomness may have changed it
            )
        else:
            dataloader = shared_loader(dataloader, getattr(runner, "seed", None))
            if getattr(runner, "_per_sample", False):
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

    @abstractmethod
    def run(self) -> Any:
        """Runs over all batches."""
