"""Dataloaders from configs."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset

from eng.dataset import reproducible_loader_parts
from eng.dataset._loader_parts import batch_sampler_of, is_stream
from eng.dataset._loader_parts import batch_size_of as loader_batch_size
from eng.dataset.sharded_stream import shard_stream
from eng.dist import get_data_rank, get_data_world_size
from eng.hooks.view import provides
from eng.logging._details import DETAIL
from eng.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS, DefaultScope, Registry

from ..errors import SettingsError
from .batch_share import with_batch_of_rank
from .workers import WorkerStart

logger = logging.getLogger(__name__)


class LoadsLater(Protocol):
    """A dataset that can be built without reading its annotations."""

    def full_init(self) -> None:
        """Reads the annotations."""


# A registry without entries. It is only used to build DataLoaders, because a registry adds file and line of the config
# to errors.
_LOADERS = Registry("dataloader", scope="eng")


def build_dataloader(
    dataloader: object, seed: int | None = None, diff_rank_seed: bool = False, per_sample: bool = True
) -> Any:
    """Builds a dataloader from its config; a dataloader object is returned unchanged.

    Args:
        dataloader: a dataloader, or a config with ``dataset``, ``batch_size`` and, optionally, ``sampler``,
            ``batch_sampler``, ``collate_fn``, ``worker_init_fn``, ``num_batch_per_epoch`` and every other argument of
            ``torch.utils.data.DataLoader``. ``shard_stream=True`` distributes the samples of a stream over ranks and
            workers. ``batch_size`` is the number of samples per rank; alternatively, ``global_batch_size`` is the
            number of samples of all ranks together.
        seed: seed of the sampler and of random transforms.
        diff_rank_seed: whether the seed of the sampler is a different one on each rank.
        per_sample: whether random numbers inside a transform depend only on seed, epoch and sample, so that they are
            the same for any number of workers and after a resume. True by default; has no effect without a seed.

    Raises:
        ValueError: the config has no dataset, a sampler for a stream, or a global batch size that the number of ranks
            does not divide.
    """
    if not isinstance(dataloader, Mapping):
        return dataloader
    cfg = copy.deepcopy(with_batch_of_rank(dataloader))
    if "dataset" not in cfg:
        raise ValueError(f"a dataloader config needs a 'dataset'; it has {sorted(cfg)}")
    if "type" in cfg:
        raise SettingsError(f"a dataloader config takes no 'type' (it is {cfg['type']!r}); give a loader as an object")
    dataset = _build_dataset(cfg.pop("dataset"))
    num_batches = cfg.pop("num_batch_per_epoch", None)
    if num_batches is not None:
        if is_stream(dataset):
            raise SettingsError(
                f"num_batch_per_epoch={num_batches} is for a dataset with a length, and {type(dataset).__name__} is a stream: write "
                f"train_cfg=dict(limit_batches={num_batches}) for the first batches of each pass, or dict(by_epoch=False, max_iters=...)"
            )
        dataset = FirstSamples(dataset, num_batches * cfg.get("batch_size", 1) * get_data_world_size())
    if cfg.pop("shard_stream", False):
        if not is_stream(dataset):
            raise SettingsError(
                f"shard_stream=True is for a stream, and {type(dataset).__name__} has sample numbers, which its sampler shares "
                "out: leave shard_stream out"
            )
        dataset = shard_stream(dataset)
    sampler = _build_sampler(cfg, dataset, None if diff_rank_seed else seed)
    batch_sampler = _build_batch_sampler(cfg, sampler)
    if per_sample and seed is not None:
        dataset, sampler, batch_sampler = reproducible_loader_parts(dataset, sampler, batch_sampler, seed=seed)
    init_fn = _worker_init_fn(cfg.pop("worker_init_fn", None), cfg.get("num_workers", 0), seed)
    parts = {
        "type": DataLoader,
        "dataset": dataset,
        "sampler": sampler if batch_sampler is None else None,
        "batch_sampler": batch_sampler,
        "collate_fn": _function(cfg.pop("collate_fn", {"type": "pseudo_collate"})),
        "worker_init_fn": init_fn,
    }
    # The run's default scope is replaced: a library's scope has no dataloaders, so a lookup in it would log a warning.
    with DefaultScope.overwrite_default_scope("eng"):
        return _LOADERS.build(cfg, default_args=parts)


def _build_dataset(dataset: object) -> Any:
    """Builds a dataset from its config and reads its annotations; a dataset object is returned unchanged."""
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
        if provides(dataset, LoadsLater):
            dataset.full_init()
    return dataset


def _build_sampler(cfg: MutableMapping[str, Any], dataset: object, seed: int | None) -> Any:
    """Builds the sampler of a dataloader config; without the key ``sampler``, DefaultSampler, or None for a stream."""
    sampler = cfg.pop("sampler", None)
    shuffle = cfg.pop("shuffle", None)
    if is_stream(dataset):
        if sampler is not None:
            raise SettingsError(
                f"{type(dataset).__name__} is a stream, which gives its samples in its own order: leave the dataloader's "
                f"sampler out (it is {sampler!r})"
            )
        if shuffle:
            raise SettingsError(
                f"{type(dataset).__name__} is a stream, which gives its samples in its own order: leave shuffle=True out and let the "
                "stream shuffle, in a buffer or by the order of its shards"
            )
        return None
    if sampler is None:
        logger.info(
            "The dataloader of %s names no sampler: it gets dict(type='DefaultSampler', shuffle=%s)",
            type(dataset).__name__,
            bool(shuffle),
            extra=DETAIL,  # Only for the log file: the report on the console says whether data are shuffled.
        )
        sampler = {"type": "DefaultSampler", "shuffle": bool(shuffle)}
    if isinstance(sampler, Mapping):
        sampler = DATA_SAMPLERS.build(sampler, default_args={"dataset": dataset, "seed": seed})
    return sampler


def _build_batch_sampler(cfg: MutableMapping[str, Any], sampler: object) -> Any:
    """Builds the batch sampler of a dataloader config; None without the key ``batch_sampler``.

    If it is built from a config, ``batch_size`` is removed from ``cfg``, as a DataLoader does not take both.
    """
    batch_sampler = cfg.pop("batch_sampler", None)
    if isinstance(batch_sampler, Mapping):
        default_args = {"sampler": sampler, "batch_size": cfg.pop("batch_size", 1)}
        batch_sampler = DATA_SAMPLERS.build(batch_sampler, default_args=default_args)
    return batch_sampler


def _function(spec: Any) -> Callable[..., Any]:
    """Returns the function that a callable, a registered name, or ``dict(type=..., further arguments)`` describes."""
    if isinstance(spec, Mapping):
        spec = dict(spec)
        name = spec.pop("type")
        function = _function(name)
        if spec:
            return partial(function, **spec)
        return function
    if callable(spec):
        return spec  # type: ignore[no-any-return]  # callable() leaves the type Any
    registered: Callable[..., Any] | None = FUNCTIONS.get(spec)
    if registered is None:
        raise ValueError(f"{spec!r} names no function; register it in eng.registry.FUNCTIONS or give a callable")
    return registered


def _worker_init_fn(spec: object, num_workers: int, seed: int | None) -> Callable[[int], None] | None:
    """Builds the function that each worker process calls first; None if there are no workers and no function is set."""
    if num_workers == 0 and spec is None:
        return None
    if isinstance(spec, Mapping) and seed is not None:
        function: Any = _function({"num_workers": num_workers, "rank": get_data_rank(), "seed": seed, **spec})
    elif spec is not None:
        function = _function(spec)
    elif seed is not None:
        function = _function(
            {"type": "default_worker_init_fn", "num_workers": num_workers, "rank": get_data_rank(), "seed": seed}
        )
    else:
        function = None
    return WorkerStart(function)


class FirstSamples(Dataset[Any]):
    """A dataset of the first ``length`` samples of another dataset; attributes are read from that dataset."""

    def __init__(self, dataset: Any, length: int) -> None:
        self._dataset = dataset
        self._length = min(length, len(dataset))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_dataset":
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, index: int) -> Any:
        return self._dataset[index]

    def __len__(self) -> int:
        return self._length


def batch_size_of(dataloader: object) -> int:
    """Returns the number of samples in a batch on one rank, from a dataloader or its config, for ``auto_scale_lr``.

    Raises:
        ValueError: the dataloader or config contains no batch size.
    """
    if isinstance(dataloader, Mapping):
        batch_size = with_batch_of_rank(dataloader).get("batch_size")
    else:
        batch_size = loader_batch_size(dataloader) or loader_batch_size(batch_sampler_of(dataloader))
    if not isinstance(batch_size, int):
        raise ValueError("auto_scale_lr needs a train_dataloader with a batch_size")
    return batch_size
