"""Batches from samples, and the seed of a worker."""

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
"""The registry of collate functions, under the name it had before it held other functions too."""


def worker_init_fn(
    worker_id: int, num_workers: int, rank: int, seed: int, disable_subprocess_warning: bool = False
) -> None:
    """Seeds a loader's worker so that no two workers of a run draw the same random numbers.

    Args:
        worker_id: number of the worker in its loader.
        num_workers: workers of each loader.
        rank: rank of the process that owns the loader.
        seed: seed of the run.
        disable_subprocess_warning: silences Python warnings in all workers but the first.
    """
    worker_seed = (num_workers * rank + worker_id + seed) % (1 << 32)
    np.random.seed(worker_seed)  # noqa: NPY002  # what transforms draw from
    random.seed(worker_seed)
    torch.manual_seed(worker_seed)
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")


def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Groups what the samples hold under each key or place; nothing is stacked.

    Args:
        data_batch: samples of one shape: mappings, sequences, or leaves.

    Returns:
        A mapping or list of the samples' shape whose leaves hold the values over the batch: a list below a mapping, a tuple
        below a sequence, as in MMEngine.

    Raises:
        RuntimeError: sequences of different lengths.
        KeyError: a sample lacks a key that the first one has.
        ValueError: there are no samples.

    Examples:
        >>> pseudo_collate([{"img": 1, "label": "a"}, {"img": 2, "label": "b"}])
        {'img': [1, 2], 'label': ['a', 'b']}
        >>> pseudo_collate([(1, "a"), (2, "b")])
        [(1, 2), ('a', 'b')]
    """
    return _collate(data_batch, pseudo_collate, lambda batch: batch)


def default_collate(data_batch: Sequence[Any]) -> Any:
    """Stacks tensors, arrays and numbers along a new first dimension; keeps data elements and strings in lists.

    Args:
        data_batch: samples of one shape: mappings, sequences, or leaves.

    Returns:
        A mapping or list of the samples' shape whose leaves are batched tensors, or lists of what cannot be stacked.

    Raises:
        RuntimeError: sequences or tensors of different sizes.
        KeyError: a sample lacks a key that the first one has.
        ValueError: there are no samples.
        TypeError: a leaf that torch cannot stack.

    Examples:
        >>> default_collate([{"img": torch.zeros(2), "id": 1}, {"img": torch.ones(2), "id": 2}])["img"].shape
        torch.Size([2, 2])
    """
    return _collate(data_batch, default_collate, _torch_collate)


def _collate(batch: Sequence[Any], again: Callable[[Any], Any], leaves: Callable[[Any], Any]) -> Any:
    """Collates samples by the class of the first one."""
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
        return _as_class_of(first, {key: again(_under(key, batch)) for key in first})
    return leaves(batch)


def _as_class_of(sample: Mapping[Any, Any], columns: dict[Any, Any]) -> Any:
    """`columns` in a mapping of the sample's class."""
    try:
        return type(sample)(columns)  # type: ignore[call-arg]  # most mappings are made of one
    except TypeError:  # of a defaultdict, whose constructor takes another argument first
        batch: Any = copy.copy(sample)
        batch.update(columns)
        return batch


def _under(key: Any, batch: Sequence[Any]) -> list[Any]:
    """What all samples hold under a key of the first one."""
    try:
        return [sample[key] for sample in batch]
    except KeyError as error:
        number, differing = next((number, sample) for number, sample in enumerate(batch) if key not in sample)
        raise KeyError(
            f"sample {number} of the batch has no {key!r}, which sample 0 has; it has {list(differing)}: the pipeline must "
            "give every sample the same keys"
        ) from error


def _collate_sequences(batch: Sequence[Any], again: Callable[[Any], Any], sample_class: Any) -> Any:
    """Collates sequences of equal length, position by position."""
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise RuntimeError(f"sequences in a batch must be equally long, got lengths {sorted(lengths)}")
    columns = [again(samples) for samples in zip(*batch, strict=True)]
    if sample_class in (tuple, list):
        return columns
    try:
        return sample_class(columns)
    except TypeError:  # a range and its like, which cannot be made of a list
        return columns


FUNCTIONS.register_module(name=["worker_init_fn", "default_worker_init_fn"], module=worker_init_fn)
FUNCTIONS.register_module(module=pseudo_collate)
FUNCTIONS.register_module(module=default_collate)


def length_of(loader: Any) -> int | None:
    """Batches of a dataloader, or samples of a dataset; None where it has no length, as a stream.

    Every torch DataLoader has ``__len__``; over a stream it raises.

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
    """Passes the number of an epoch to the sampler of a loader, and to its dataset where that is a stream.

    Args:
        loader: a dataloader; a sampler behind its batch sampler comes before its own sampler.
        epoch: number of the pass over the data.
    """
    batch_sampler, dataset = batch_sampler_of(loader), dataset_of(loader)
    samplers = (sampler_of(batch_sampler), sampler_of(loader), batch_sampler)
    listeners = [next((sampler for sampler in samplers if hasattr(sampler, "set_epoch")), None)]
    listeners += [dataset] if isinstance(dataset, IterableDataset) else []
    for listener in listeners:
        tell = getattr(listener, "set_epoch", None)
        if tell is not None:
            tell(epoch)
    for stage in getattr(dataset, "pipeline", None) or () if isinstance(dataset, IterableDataset) else ():
        # Stages of WebDataset that shuffle by (seed, epoch) count the passes of their process, from -1 on.
        if type(getattr(stage, "epoch", None)) is int:
            stage.epoch = epoch - 1
