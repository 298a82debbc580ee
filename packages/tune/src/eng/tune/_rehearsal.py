"""Training steps on copies of a run's model and optimizer, which do not change the run."""

from __future__ import annotations

import copy
import gc
import logging
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.device import empty_cache, get_rng_states, set_rng_states

from .errors import TuneError

__all__ = ["Rehearsal", "rehearse"]

_MOST_HELD_OUT = 20  # Largest number of held-out batches.


class Rehearsal:
    """Model, optimizer and dataloaders of a run for trial trainings, which must not change the run itself.

    The searches for the learning rate, the batch size and the number of workers use it.

    Args:
        runner: the Runner of the run.
        is_ours: whether the Runner was created only for the search, so that trainings may change its model.

    Raises:
        TuneError: the run has no training data or no optimizer.
    """

    def __init__(self, runner: Any, *, is_ours: bool) -> None:
        self._runner = runner
        wrapper = runner.optim_wrapper
        if wrapper is None or (not is_ours and runner.train_dataloader is None):
            raise TuneError("the run has nothing to train with: it needs train_dataloader, train_cfg and optim_wrapper")
        if not hasattr(wrapper, "update_params"):
            wrapper = runner.build_optim_wrapper(wrapper)
        self._model, self._wrapper = (runner.model, wrapper) if is_ours else _copied(runner.model, wrapper)
        if runner.iter == 0:
            runner.strategy.init_weights(self._model)
            path = runner.cfg.get("load_from")
            if path is not None:
                from eng.runner import load_checkpoint

                load_checkpoint(self._model, path, map_location="cpu")

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        parameter = next(self._model.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    @property
    def wrapper(self) -> Any:
        """The optimizer wrapper of the run; callers must not change it."""
        return self._wrapper

    @property
    def own_parts(self) -> tuple[Any, Any]:
        """The model and the optimizer wrapper that callers may train; each call returns the same objects."""
        return self._model, self._wrapper

    def fresh_parts(self) -> tuple[Any, Any]:
        """Returns new copies of the run's model and optimizer wrapper, with the current weights and optimizer state."""
        return _copied(self._model, self._wrapper)

    @property
    def batch_size(self) -> int:
        """The batch size of the run's training dataloader.

        Raises:
            TuneError: the dataloader has no batch size.
        """
        setting = self._loader_setting()
        size = setting.get("batch_size", 1) if isinstance(setting, Mapping) else getattr(setting, "batch_size", None)
        if not isinstance(size, int):
            raise TuneError("train_dataloader has no batch_size")
        return size

    def loader(self, **changes: Any) -> Any:
        """Creates a dataloader of the run's training data with its own sampler, so that the run's sampler stays unused.

        Args:
            **changes: arguments of the dataloader that replace those of the run, such as ``batch_size``.
        """
        setting = self._loader_setting()
        if isinstance(setting, Mapping):
            cfg = {**copy.deepcopy(dict(setting)), **changes}
            if "sampler" in changes:
                cfg.pop("shuffle", None)  # torch accepts either a sampler or `shuffle`.
            if not cfg.get("num_workers"):  # torch accepts these arguments only with worker processes.
                for name in ("persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context"):
                    cfg.pop(name, None)
            return self._runner.build_dataloader(cfg, seed=self._runner.seed)
        return _rebuild_loader(setting, changes)

    def divided_loaders(self) -> tuple[Any, Any | None]:
        """Creates a dataloader for training and one of held-out samples, on which the loss is measured afterwards.

        A fifth of the training samples is held out, at most 20 batches. If the data cannot be divided (a stream, fewer
        than five batches, or a sampler that does more than shuffle), the first dataloader has all samples and the
        second one is None.
        """
        size = self._divisible_length()
        if size is None or size < 5 * self.batch_size:
            return self.loader(), None
        order = torch.randperm(size, generator=torch.Generator().manual_seed(0)).tolist()
        count = min(size // 5, _MOST_HELD_OUT * self.batch_size)
        training = self.loader(sampler=_Shuffled(sorted(order[count:])))
        return training, self.loader(sampler=sorted(order[:count]), num_workers=0)

    def _divisible_length(self) -> int | None:
        """Returns the number of training samples; None if samples cannot be held out.

        This is the case for a stream, and for a sampler or batch sampler that does more than shuffle.
        """
        from torch.utils.data import IterableDataset, RandomSampler, SequentialSampler

        setting = self._loader_setting()
        if isinstance(setting, Mapping):
            sampler = setting.get("sampler")
            names = (None, "DefaultSampler", "InfiniteSampler")
            is_plain = "batch_sampler" not in setting and (
                sampler is None or (isinstance(sampler, Mapping) and sampler.get("type") in names)
            )
        else:
            plain = (RandomSampler, SequentialSampler)
            is_plain = type(setting.sampler) in plain and setting.batch_size is not None
        dataset = self.loader().dataset if is_plain else None
        if dataset is None or isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            return None
        return len(dataset)

    def _loader_setting(self) -> Any:
        setting = self._runner.cfg.get("train_dataloader")
        return setting if setting is not None else self._runner.train_dataloader


class _Shuffled(torch.utils.data.Sampler[int]):
    """Sampler that draws only the samples with the given indices, in a different random order in each epoch."""

    def __init__(self, indices: list[int]) -> None:
        self._indices = indices
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._indices)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._epoch)
        return iter([self._indices[at] for at in torch.randperm(len(self._indices), generator=generator).tolist()])


def batches(loader: Any) -> Iterator[Any]:
    """Yields the batches of a dataloader endlessly, epoch after epoch.

    Raises:
        TuneError: the dataloader has no batches.
    """
    epoch = 0
    while True:
        batch_sampler = getattr(loader, "batch_sampler", None)
        sampler: Any = getattr(batch_sampler, "sampler", None) or getattr(loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        epoch += 1
        is_empty = True
        for batch in loader:
            is_empty = False
            yield batch
        if is_empty:
            raise TuneError("the training dataloader gives no batch")


@contextmanager
def rehearse(run: Any) -> Iterator[Rehearsal]:
    """Yields a `Rehearsal`, with which a caller can train without a trace in the run.

    After the ``with`` block, random generators, logs and files are as they were before it.

    Args:
        run: a Runner, whose model is copied; or a config or the path of a config, from which a Runner is built in a
            temporary folder.

    Raises:
        TuneError: the run has several processes, or no training data or optimizer.
    """
    from eng.dist import get_world_size

    if get_world_size() > 1:
        raise TuneError("a search for settings runs in one process, and this run has several")
    if hasattr(run, "build_dataloader"):  # Only a Runner has this method; a config can have keys such as `model`.
        with _without_trace(run):
            yield Rehearsal(run, is_ours=False)
        return
    folder = tempfile.mkdtemp(prefix="eng-tune-")
    try:
        with _restore_generators():
            runner = _build_runner(folder, run)
            with _without_trace(runner):
                yield Rehearsal(runner, is_ours=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build_runner(folder: str, config: Any) -> Any:
    """Builds a Runner from a config or the path of a config, with `folder` as its work directory.

    The Runner does not resume, logs errors only and has no visualizer.
    """
    from eng.config import Config
    from eng.registry import RUNNERS
    from eng.runner import Runner

    cfg = Config.fromfile(config) if isinstance(config, str | Path) else copy.deepcopy(config)
    cfg.work_dir, cfg.resume, cfg.log_level = folder, False, "ERROR"
    cfg.visualizer = None
    return RUNNERS.build(cfg) if cfg.get("runner_type") else Runner.from_cfg(cfg)


def _copied(model: Any, wrapper: Any) -> tuple[Any, Any]:
    """Copies a model together with its optimizer wrapper.

    The copied wrapper logs to a new message hub (the store of a run's logged values), which nobody reads, so that the
    values of trial trainings do not appear in the logs of the run.
    """
    from eng.logging import MessageHub

    memo: dict[int, Any] = {}
    for part in [wrapper, *(wrapper.values() if hasattr(wrapper, "values") else ())]:
        hub = getattr(part, "message_hub", None)
        if hub is not None:
            memo[id(hub)] = MessageHub("eng.tune")
    model_copy, wrapper_copy = copy.deepcopy((model, wrapper), memo)
    return model_copy, wrapper_copy


def _rebuild_loader(loader: Any, changes: Mapping[str, Any]) -> Any:
    """Creates a DataLoader like `loader` with copies of dataset and sampler; `changes` replaces arguments."""
    from torch.utils.data import DataLoader, IterableDataset

    if not isinstance(loader, DataLoader):
        raise TuneError(f"train_dataloader must be a config or a torch DataLoader, got {type(loader).__name__}")
    dataset = copy.copy(loader.dataset)
    settings: dict[str, Any] = {
        "batch_size": loader.batch_size, "num_workers": loader.num_workers, "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory, "drop_last": loader.drop_last, "worker_init_fn": loader.worker_init_fn, **changes,
    }  # fmt: skip
    if not isinstance(dataset, IterableDataset) and "sampler" not in settings:
        settings["sampler"] = copy.deepcopy(loader.sampler, {id(loader.dataset): dataset})
    return DataLoader(dataset, **settings)


@contextmanager
def _without_trace(runner: Any) -> Iterator[None]:
    """Restores random generators, message hub (logged values) and log handlers of a run after the ``with`` block."""
    hub = runner.message_hub
    saved = copy.deepcopy(hub.state_dict())
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    loggers = [runner.logger, logging.getLogger("eng")]
    handlers = [list(logger.handlers) for logger in loggers]
    # eng writes some messages directly to the files of the log handlers, which logging.disable does not prevent. So the
    # handlers are removed.
    for logger in loggers:
        logger.handlers.clear()
    try:
        with _restore_generators():
            yield
    finally:
        logging.disable(level)
        for logger, saved_handlers in zip(loggers, handlers, strict=True):
            logger.handlers[:] = saved_handlers
        hub.load_state_dict(saved)
        release_memory()


@contextmanager
def _restore_generators() -> Iterator[None]:
    """Restores, after the ``with`` block, all random generators and torch's settings of deterministic algorithms."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # data transforms of users may use NumPy's global generator
    flags = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    generators = get_rng_states()
    try:
        with torch.random.fork_rng([]):
            yield
    finally:
        set_rng_states(generators)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.use_deterministic_algorithms(flags[0])
        torch.backends.cudnn.deterministic = flags[1]


def release_memory() -> None:
    """Gives unused memory back to the system: Python garbage, torch's cache on the device, and the C heap of glibc."""
    gc.collect()
    empty_cache()
    import ctypes
    import sys

    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # Only the C library glibc has this function.
        if trim is not None:
            trim(0)
