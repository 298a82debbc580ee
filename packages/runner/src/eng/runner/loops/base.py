"""BaseLoop: the base of all loops."""

from __future__ import annotations

import contextlib
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

from eng.dataset._loader_parts import metainfo_of
from eng.runner.assemble.workers import end_workers, shield_workers
from eng.runner.run import Run
from eng.runner.settings import Randomness
from eng.runner.state.rng import RngState, capture_rng, restore_rng

from ._generators import give_generators, key_samples
from ._ranks import shared_loader
from ._shares import warn_of_repeated_stream
from ._streams import has_state


class BaseLoop(metaclass=ABCMeta):
    """Base class of loops, which iterate over the batches of a dataloader to train, validate or test.

    A custom loop class takes ``runner`` and ``dataloader`` as its first arguments. Register it in ``LOOPS`` and name it
    by ``type`` in ``train_cfg``, ``val_cfg`` or ``test_cfg``; further keys of that config become its arguments.

    Args:
        runner: the runner to which the loop belongs.
        dataloader: a dataloader, or the config of one.

    Attributes:
        dataloader: the dataloader; None in a loop class that stores its dataloader under another name.
        split_step: function that is called instead of the model's ``train_step`` if the Runner has ``on_oom="split"``;
            None otherwise.
        epoch: completed epochs.
        iter: completed iterations.
        max_epochs: epochs at which training ends.
        max_iters: iterations at which training ends.
        val_begin: first epoch or iteration after which a training loop validates.
        val_interval: epochs or iterations between two validations.
        counts_iterations: whether defaults of hooks and log lines count iterations instead of epochs.
        stop_training: set by a hook to end training after the current epoch or iteration.
    """

    dataloader: Any = None
    split_step: Any = None
    epoch: int = 0
    iter: int = 0
    max_epochs: int = 0
    max_iters: int = 0
    val_begin: int = 1
    val_interval: Any = 1
    counts_iterations: bool = False
    stop_training: bool = False
    _epoch: int
    _iter: int

    def __init__(self, runner: Run, dataloader: object) -> None:
        self._runner = runner
        randomness: Randomness = runner.randomness
        if isinstance(dataloader, dict):
            dataloader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=randomness.diff_rank_seed,
                per_sample=randomness.per_sample,
            )
        else:
            dataloader = shared_loader(dataloader, runner.seed)
            if randomness.per_sample:
                key_samples(dataloader, runner.seed)
        warn_of_repeated_stream(dataloader)
        shield_workers(dataloader)
        give_generators(dataloader, runner.seed)
        self.dataloader = dataloader
        metainfo = metainfo_of(dataloader)
        if metainfo is not None:
            runner.visualizer.dataset_meta = metainfo

    @property
    def runner(self) -> Run:
        """The run that the loop belongs to."""
        return self._runner

    @property
    def is_validating(self) -> bool:
        """Whether a training loop is inside a validation."""
        return False

    def end_workers(self) -> None:
        """Ends persistent worker processes at the end of a run.

        A dataloader with a ``state_dict`` keeps its workers, because they hold its position. If the dataloader is in a
        wrapper with an attribute ``loader``, such as a prefetcher, the workers of the wrapped dataloader are ended.
        """
        loader = getattr(self.dataloader, "loader", self.dataloader)
        if not has_state(loader):
            end_workers(loader)

    def by_set(self) -> Mapping[str, BaseLoop]:
        """Returns the loop of each dataset by dataset name; a loop over one dataset returns itself under ``""``."""
        return {"": self}

    def try_batches(self, count: int) -> dict[str, float] | None:
        """Evaluates the first ``count`` batches without calling a hook; None if the loop class does not support it."""
        return None

    def position(self, point: str | None) -> dict[str, Any]:
        """Returns the position from which a checkpoint that is saved now resumes.

        This default has no position inside an epoch, so a resumed run repeats the current epoch from its first batch.

        Args:
            point: the hook point that is being called, None between two points. A loop increments its counters after
                the hooks of ``after_train_iter`` and ``after_train_epoch``, so at these two points the current
                iteration or epoch is added here.
        """
        epoch, iteration = int(self.epoch), int(self.iter)
        return {
            "epoch": epoch + (point == "after_train_epoch"),
            "iter": iteration + (point == "after_train_iter"),
            "pass": epoch + (point == "after_train_epoch"),
            "batch": 0,
            "samples": 0,
            "validated_iter": iteration,
            "stop_training": bool(self.stop_training),
        }

    def moment(self, point: str | None) -> dict[str, Any]:
        """Returns the training position that is stored with a scalar written now; this default returns an empty dict.

        :meth:`eng.runner.loops.training.TrainLoop.moment` returns the keys ``iteration`` and ``mode``.
        """
        return {}

    def rng_state(self, point: str | None) -> dict[str, RngState | None]:
        """Returns the states of the random generators with which a checkpoint that is saved now resumes."""
        return {"now": capture_rng(), "pass": None}

    def go_on_from(self, position: dict[str, Any], rng: dict[str, RngState | None] | None) -> None:
        """Restores the counters and random generators of a checkpoint.

        The counters are set as ``_epoch`` and ``_iter``, the attributes behind ``epoch`` and ``iter`` in MMEngine's
        loops, and also as ``epoch`` and ``iter`` unless the loop class defines these as properties.

        Args:
            position: result of :meth:`position` in the saved run.
            rng: result of :meth:`rng_state`; None if the saved run had fewer ranks and no states for this one.
        """
        for name in ("epoch", "iter"):
            setattr(self, f"_{name}", position[name])
            # A property of this name has no setter; it reads _epoch or _iter.
            with contextlib.suppress(AttributeError):
                setattr(self, name, position[name])
        if rng is not None and rng["now"] is not None:
            restore_rng(rng["now"])

    @abstractmethod
    def run(self) -> Any:
        """Runs over all batches."""
