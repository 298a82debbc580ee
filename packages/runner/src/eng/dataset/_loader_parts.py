"""Read the parts and settings of a dataloader, with a default for each.

A run accepts any iterable as a dataloader, and an iterable may have any subset of the attributes of a torch DataLoader
(a list of batches has none, a DALI iterator only ``batch_size``). A protocol would need all attributes at once, so each
function asks for one attribute.
"""

from __future__ import annotations

from typing import Any

from torch.utils.data import IterableDataset


def dataset_of(loader: object) -> Any:
    """Returns the dataset of a dataloader; None if the object has no attribute ``dataset``."""
    return getattr(loader, "dataset", None)


def is_stream(dataset: object) -> bool:
    """Whether a dataset is a stream (iterable-style): it yields samples in its own order, without access by number."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


def metainfo_of(loader: object) -> Any:
    """Returns the ``metainfo`` of a dataloader's dataset; None if the dataset has none."""
    return getattr(dataset_of(loader), "metainfo", None)


def sampler_of(loader: object) -> Any:
    """Returns the sampler of a dataloader or of a batch sampler; None if the object has no sampler."""
    return getattr(loader, "sampler", None)


def batch_sampler_of(loader: object) -> Any:
    """Returns the batch sampler of a dataloader, which yields the sample numbers of each batch; None if it has none."""
    return getattr(loader, "batch_sampler", None)


def batch_size_of(loader: object) -> int | None:
    """Returns the number of samples in a batch of this rank's dataloader; None if the batch size is not fixed."""
    return getattr(loader, "batch_size", None)


def worker_count(loader: object) -> int:
    """Returns the number of worker processes of a dataloader; 0 if it reads samples in the training process."""
    return int(getattr(loader, "num_workers", 0) or 0)


def generator_of(loader: object) -> Any:
    """Returns the random generator that was passed to a dataloader; None if the dataloader has no generator."""
    return getattr(loader, "generator", None)


def drops_last(loader: object) -> bool:
    """Whether a dataloader drops the last batch of an epoch if that batch is not full."""
    return bool(getattr(loader, "drop_last", False))
