"""Data of several ranks: splits dataloaders over ranks, ends streams on all ranks together, and removes padding."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, cast

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from eng.dataset import DefaultSampler
from eng.dataset._loader_parts import sampler_of
from eng.dataset.utils import length_of
from eng.dist import all_gather_object, get_data_rank, get_data_world_size, get_world_size

logger = logging.getLogger(__name__)

_END = object()
# Attributes by which a sampler or a stream shows that it gives each rank its own samples.
_KNOWS_RANKS = ("rank", "num_replicas", "world_size", "local_rank")


def shared_loader(loader: object, seed: int | None) -> Any:
    """Returns a DataLoader that yields each sample on one rank only; with one rank, returns `loader` unchanged.

    A DataLoader with torch's ``SequentialSampler`` or ``RandomSampler`` yields all samples on every rank. Such a
    DataLoader is built again with :class:`eng.dataset.DefaultSampler`. Other samplers without an attribute such as
    ``rank`` cause a warning.

    Args:
        loader: a dataloader that the user built.
        seed: seed of the order of the samples, if the loader shuffles.
    """
    if get_data_world_size() == 1 or not isinstance(loader, DataLoader) or _knows_ranks(loader):
        return loader
    plain = type(loader) is DataLoader and type(loader.batch_sampler) is BatchSampler
    if not plain or not _gives_each_sample_once(loader.sampler):
        logger.warning(
            "The sampler of a %s over %s shows no rank: if it gives the same samples on all %d ranks, each sample is trained "
            "on or evaluated several times. Use eng.dataset.DefaultSampler or torch's DistributedSampler",
            type(loader).__name__, type(loader.dataset).__name__, get_data_world_size(),
        )  # fmt: skip
        return loader
    shuffles = isinstance(loader.sampler, RandomSampler)
    logger.warning(
        "A loader over %s, given as an object, would give all samples on each of %d ranks: it is built again with "
        "DefaultSampler(shuffle=%s), by which the ranks share them. Give the loader such a sampler to say so",
        type(loader.dataset).__name__, get_data_world_size(), shuffles,
    )  # fmt: skip
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=DefaultSampler(cast(Sized, loader.dataset), shuffle=shuffles, seed=seed),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context if loader.num_workers else None,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )


def _gives_each_sample_once(sampler: object) -> bool:
    """Whether a sampler of torch yields each index of the dataset exactly once in each pass."""
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    return type(sampler) is SequentialSampler


def _knows_ranks(loader: DataLoader[Any]) -> bool:
    """Whether a sampler of the DataLoader has an attribute such as ``rank``; always True for a stream."""
    batch_sampler = loader.batch_sampler
    parts = [loader.sampler, batch_sampler, sampler_of(batch_sampler)]
    if isinstance(loader.dataset, IterableDataset):  # a stream distributes its own samples over ranks
        return True
    return any(hasattr(part, name) for part in parts for name in _KNOWS_RANKS)


def while_all_have_one(batches: Iterable[Any], loader: object = None) -> Iterable[Any]:
    """Ends a pass over a stream on all ranks as soon as one rank has no further batch.

    A rank that continued alone would wait for ever in its next all-reduce of gradients. If the number of batches is
    known, or there is only one rank, `batches` is returned unchanged.

    Args:
        batches: the batches of one pass over the stream.
        loader: the dataloader that yields the batches; None means that ``batches`` is itself the dataloader.
    """
    if loader is None:
        loader = batches
    if length_of(loader) is not None or get_world_size() == 1:
        return batches
    return _stop_together(iter(batches))


def _stop_together(batches: Iterator[Any]) -> Iterator[Any]:
    """Yields batches until one rank has no further batch; the ranks communicate before each batch to know this."""
    while True:
        batch = next(batches, _END)
        have_one = all_gather_object(batch is not _END)
        if not all(have_one):
            if any(have_one):
                logger.warning(
                    "The pass ends here because %d of %d ranks have no further batch of the stream; what the others have left "
                    "is not trained on. A pass over all samples needs as many batches on each rank",
                    have_one.count(False), len(have_one),
                )  # fmt: skip
            return
        yield batch


def samples_of_rank(loader: object) -> int | None:
    """Returns the number of samples of this rank without padding (samples repeated to give each rank the same number).

    Args:
        loader: a dataloader.

    Returns:
        The number; None if the sampler adds no padding or is of an unknown class.
    """
    sampler = sampler_of(loader)
    if get_data_world_size() == 1 or not isinstance(sampler, (DefaultSampler, DistributedSampler)):
        return None
    size: int = len(sampler.dataset)  # type: ignore[arg-type]  # both samplers ask for a dataset with a length
    return len(range(get_data_rank(), size, get_data_world_size()))


def without_padding(batch: object, size: int, keep: int) -> Any:
    """Returns the first ``keep`` samples of a collated batch of ``size`` samples.

    Every tensor and list with ``size`` entries inside the batch is cut; other values are returned unchanged.

    Examples:
        >>> without_padding({"x": torch.arange(3), "names": ["a", "b", "c"], "scale": 2}, size=3, keep=2)
        {'x': tensor([0, 1]), 'names': ['a', 'b'], 'scale': 2}
    """
    if isinstance(batch, torch.Tensor):
        if batch.dim() and len(batch) == size:
            return batch[:keep]
        return batch
    if isinstance(batch, Mapping):
        return {key: without_padding(value, size, keep) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        holds_samples = len(batch) == size and not _holds_arguments(batch, size)
        if holds_samples:
            samples = batch[:keep]
        else:
            samples = [without_padding(value, size, keep) for value in batch]
        if isinstance(batch, tuple) and hasattr(batch, "_fields"):
            return type(batch)(*samples)
        return type(batch)(samples)
    return batch


def _holds_arguments(batch: Any, size: int) -> bool:
    """Whether the items of a list are arguments of ``forward`` with ``size`` samples each, instead of samples."""
    return all(isinstance(item, (torch.Tensor, list, tuple)) and _length(item) == size for item in batch)


def _length(item: Any) -> int:
    """Returns the length of a list, tuple or tensor; -1, which is no batch size, for a tensor without dimensions."""
    if not isinstance(item, torch.Tensor) or item.dim():
        return len(item)
    return -1
