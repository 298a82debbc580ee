"""Loops that validate or test on several datasets, one after the other, and return the metrics of all datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eng.dataset._loader_parts import dataset_of
from eng.registry import LOOPS
from eng.runner.run import Run

from .base import BaseLoop
from .evaluation import TestLoop, ValLoop


class JoinedLoaders:
    """Iterates over the dataloaders of several datasets, one after the other.

    Args:
        loaders: dataloaders by the name that the config gives to their dataset.
    """

    def __init__(self, loaders: Mapping[str, Any]) -> None:
        self.loaders = dict(loaders)

    @property
    def dataset(self) -> Any:
        """The first dataset; code that reads ``metainfo`` uses the metainfo of this dataset for all datasets."""
        return dataset_of(next(iter(self.loaders.values())))

    def __len__(self) -> int:
        """Returns the number of batches of all datasets together.

        Raises:
            TypeError: a dataloader has no length.
        """
        return sum(len(loader) for loader in self.loaders.values())

    def __iter__(self) -> Iterator[Any]:
        for loader in self.loaders.values():
            yield from loader


class _SeveralSets(BaseLoop):
    """Runs the evaluation loops of several datasets, one after the other.

    Hooks such as ``before_val`` and ``after_val`` are called once for all datasets, and get all metrics together.
    """

    mode: str

    def __init__(self, runner: Run, loops: Mapping[str, Any]) -> None:
        self._runner = runner
        self.loops = dict(loops)
        self.current_set: str | None = None

    @property
    def dataloader(self) -> Any:
        """The dataloader of the dataset that is being evaluated; otherwise a :class:`JoinedLoaders` of all."""
        if self.current_set is not None:
            return self.loops[self.current_set].dataloader
        return JoinedLoaders({name: loop.dataloader for name, loop in self.loops.items()})

    @property
    def evaluator(self) -> Any:
        """The evaluator of the dataset that is being evaluated; otherwise a dict of all, by dataset name."""
        if self.current_set is not None:
            return self.loops[self.current_set].evaluator
        return {name: loop.evaluator for name, loop in self.loops.items()}

    def run(self) -> dict[str, float]:
        """Evaluates the model on each dataset and returns all metrics, by names such as ``clean/accuracy``."""
        runner = self._runner
        runner.call_hook(f"before_{self.mode}")
        runner.call_hook(f"before_{self.mode}_epoch")
        metrics = self._of_all_sets("run_batches")
        runner.call_hook(f"after_{self.mode}_epoch", metrics=metrics)
        runner.call_hook(f"after_{self.mode}")
        return dict(metrics)

    def by_set(self) -> Mapping[str, BaseLoop]:
        """Returns the evaluation loop of each dataset, by the name of the dataset in the config."""
        return self.loops

    def end_workers(self) -> None:
        """Ends the worker processes of the dataloaders of all datasets."""
        for loop in self.loops.values():
            loop.end_workers()

    def try_batches(self, count: int) -> dict[str, float]:
        """Evaluates the first batches of each dataset without calling a hook, and returns their metrics.

        Args:
            count: number of batches of each dataset, on each rank.
        """
        return self._of_all_sets("try_batches", count)

    def _of_all_sets(self, method: str, *args: Any) -> dict[str, float]:
        """Calls a method of each dataset's loop; returns all metrics by names such as ``clean/accuracy``."""
        metrics: dict[str, float] = {}
        try:
            for name, loop in self.loops.items():
                self.current_set = name
                metrics.update({f"{name}/{key}": value for key, value in getattr(loop, method)(*args).items()})
        finally:
            self.current_set = None
        return metrics


@LOOPS.register_module()
class SeveralValLoop(_SeveralSets):
    """Validates on several datasets: ``val_dataloader=dict(clean=dict(...), corrupted=dict(...))``.

    Args:
        runner: the runner to which the loop belongs.
        loops: a :class:`ValLoop` for each dataset, by the name of the dataset.

    Attributes:
        current_set: name of the dataset that is being validated; None between validations.
    """

    mode = "val"


@LOOPS.register_module()
class SeveralTestLoop(_SeveralSets):
    """Tests on several datasets; see :class:`SeveralValLoop`.

    Args:
        runner: the runner to which the loop belongs.
        loops: a :class:`TestLoop` for each dataset, by the name of the dataset.
    """

    __test__ = False  # pytest would otherwise collect this class as a test, because of its name
    mode = "test"


SINGLE: Mapping[str, type[BaseLoop]] = {"val": ValLoop, "test": TestLoop}
SEVERAL: Mapping[str, type[_SeveralSets]] = {"val": SeveralValLoop, "test": SeveralTestLoop}
