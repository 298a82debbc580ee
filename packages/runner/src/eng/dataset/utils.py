"""Collate functions, the seeding of dataloader workers, and the length and epoch of a dataloader."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from torch.utils.data import default_collate as _torch_collate

from eng.registry import FUNCTIONS
from eng.structures import BaseDataElement

from ._loader_parts import batch_sampler_of, dataset_of, sampler_of

COLLATE_FUNCTIONS = FUNCTIONS
"""Older name of the registry FUNCTIONS, which at first held only collate functions."""


def worker_init_fn(
    worker_id: int, num_workers: int, rank: int, seed: int, disable_subprocess_warning: bool = False
) -> None:
    """Seeds a dataloader worker so that no two workers of a run draw the same random numbers.

    Args:
        worker_id: number of the worker in its dataloader.
        num_workers: number of workers of each dataloader.
        rank: rank of the process that owns the dataloader.
        seed: seed of the run.
        disable_subprocess_warning: whether to silence Python warnings in all workers but the first.
    """
    worker_seed = (num_workers * rank + worker_id + seed) % (1 << 32)
    np.random.seed(worker_seed)  # noqa: NPY002  # transforms use this global generator
    random.seed(worker_seed)
    torch.manual_seed(worker_seed)
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")


def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Collates samples without stacking: the values of all samples under a key (or position) are put into a list.

    Args:
        data_batch: samples with the same nested structure of mappings and sequences.

    Returns:
        a mapping or list with the structure of a sample, whose leaves hold the values of all samples: a list below a
        mapping, a tuple below a sequence, as in MMEngine.

    Raises:
        RuntimeError: sequences in the samples have different lengths.
        KeyError: a sample lacks a key that the first sample has.
        ValueError: ``data_batch`` is empty.

    Examples:
        >>> pseudo_collate([{"img": 1, "label": "a"}, {"img": 2, "label": "b"}])
        {'img': [1, 2], 'label': ['a', 'b']}
        >>> pseudo_collate([(1, "a"), (2, "b")])
        [(1, 2), ('a', 'b')]
    """
    return _collate(data_batch, pseudo_collate, lambda batch: batch)


def default_collate(data_batch: Sequence[Any]) -> Any:
    """Collates samples: stacks tensors, arrays and numbers along a new first dimension.

    Data elements and strings cannot be stacked and are put into lists.

    Args:
        data_batch: samples with the same nested structure of mappings and sequences.

    Returns:
        a mapping or list with the structure of a sample, whose leaves are batched tensors or lists.

    Raises:
        RuntimeError: sequences or tensors have different sizes.
        KeyError: a sample lacks a key that the first sample has.
        ValueError: ``data_batch`` is empty.
        TypeError: torch cannot stack a value.

    Examples:
        >>> default_collate([{"img": torch.zeros(2), "id": 1}, {"img": torch.ones(2), "id": 2}])["img"].shape
        torch.Size([2, 2])
    """
    return _collate(data_batch, default_collate, _torch_collate)


def _collate(batch: Sequence[Any], again: Callable[[Any], Any], leaves: Callable[[Any], Any]) -> Any:
    """Collates samples that are mappings key by key, sequences position by position, and other values directly.

    The class of the first sample decides which of the three is done.

    Args:
        batch: the samples.
        again: function that collates the values of all samples under one key or at one position.
        leaves: function that collates values that are neither mappings nor sequences.

    Raises:
        ValueError: the batch has no sample.
    """
    if not len(batch):
        raise ValueError("a batch needs one sample at least, got none")
    first = batch[0]
    sample_class: Any = type(first)
    if isinstance(first, (BaseDataElement, str, bytes)):
        return batch
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return sample_class(*(again(samples) for samples in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        return _collate_sequences(batch, again, sample_class)
    if isinstance(first, Mapping):
        return _as_class_of(first, {key: again(_values_of(key, batch)) for key in first})
    return leaves(batch)


def _as_class_of(sample: Mapping[Any, Any], columns: dict[Any, Any]) -> Any:
    """Returns a mapping of the same class as `sample` with the collated values in `columns`."""
    try:
        return type(sample)(columns)  # type: ignore[call-arg]  # most mapping classes take a dict
    except TypeError:
        # The constructor of the class takes no mapping as first argument, like that of defaultdict. So a copy of the
        # sample gets the collated values.
        batch: Any = copy.copy(sample)
        batch.update(columns)
        return batch


def _values_of(key: Any, batch: Sequence[Any]) -> list[Any]:
    """Returns the values of all samples in a batch under a key.

    Raises:
        KeyError: a sample lacks the key; the message names the sample.
    """
    try:
        return [sample[key] for sample in batch]
    except KeyError as error:
        number, differing = next((number, sample) for number, sample in enumerate(batch) if key not in sample)
        raise KeyError(
            f"sample {number} of the batch has no {key!r}, which sample 0 has; it has {list(differing)}: the pipeline must "
            "give every sample the same keys"
        ) from error


def _collate_sequences(batch: Sequence[Any], again: Callable[[Any], Any], sample_class: Any) -> Any:
    """Collates samples that are sequences of equal length: the values at each position are collated with each other."""
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise RuntimeError(f"sequences in a batch must be equally long, got lengths {sorted(lengths)}")
    columns = [again(samples) for samples in zip(*batch, strict=True)]
    if sample_class in (tuple, list):
        return columns
    try:
        return sample_class(columns)
    except TypeError:  # The class, such as range, cannot be constructed from a list.
        return columns


FUNCTIONS.register_module(name=["worker_init_fn", "default_worker_init_fn"], module=worker_init_fn)
FUNCTIONS.register_module(module=pseudo_collate)
FUNCTIONS.register_module(module=default_collate)


def length_of(loader: Any) -> int | None:
    """Returns the number of batches of a dataloader, or of samples of a dataset; None for a stream without a length.

    Every torch DataLoader has ``__len__``, but the method raises TypeError if the dataset is a stream without a length.

    Args:
        loader: a dataloader, a dataset or any iterable.

    Examples:
        >>> length_of([1, 2]), length_of(iter([1, 2])), length_of(None)
        (2, None, None)
    """
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def set_epoch(loader: Any, epoch: int) -> None:
    """Calls ``set_epoch`` of a dataloader's sampler, and of its dataset if the dataset is a stream.

    Args:
        loader: a dataloader. The sampler of its batch sampler takes precedence over its own sampler.
        epoch: number of the epoch, from 0.
    """
    batch_sampler = batch_sampler_of(loader)
    for sampler in (sampler_of(batch_sampler), sampler_of(loader), batch_sampler):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
            break
    dataset = dataset_of(loader)
    if not isinstance(dataset, IterableDataset):
        return
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch)
    for stage in getattr(dataset, "pipeline", None) or ():
        # The shuffling stages of a WebDataset count passes over the data in their attribute ``epoch``. They add 1
        # before each pass, so they get the number of the epoch before.
        if type(getattr(stage, "epoch", None)) is int:
            stage.epoch = epoch - 1
