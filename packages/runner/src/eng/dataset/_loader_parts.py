"""The parts and settings of a dataloader.

A run accepts any iterable as a dataloader, so each function has a default for an iterable without the attribute.
"""

from __future__ import annotations

from typing import Any

from torch.utils.data import IterableDataset


def dataset_of(loader: object) -> Any:
    """The dataset that a loader reads; None where it has none."""
    return getattr(loader, "dataset", None)


def is_stream(dataset: object) -> bool:
    """Whether a dataset gives its samples in an order of its own, and not by number."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


def metainfo_of(loader: object) -> Any:
    """The ``metainfo`` of a loader's dataset; None where there is none."""
    return getattr(dataset_of(loader), "metainfo", None)


def sampler_of(loader: object) -> Any:
    """The sampler that orders the samples of a loader, or of a batch sampler; None where it has none."""
    return getattr(loader, "sampler", None)


def batch_sampler_of(loader: object) -> Any:
    """The sampler that gives a loader the numbers of a batch; None where it has none."""
    return getattr(loader, "batch_sampler", None)


def batch_size_of(loader: object) -> int | None:
    """Samples of a batch on this rank; None where a loader has no fixed size of its batches."""
    return getattr(loader, "batch_size", None)


def worker_count(loader: object) -> int:
    """Worker processes of a loader; 0 where this process reads the data itself."""
    return int(getattr(loader, "num_workers", 0) or 0)


def generator_of(loader: object) -> Any:
    """The random generator of a loader; None where it has none."""
    return getattr(loader, "generator", None)


def drops_last(loader: object) -> bool:
    """Whether a loader leaves out a last batch that is not full."""
    return bool(getattr(loader, "drop_last", False))
