"""Random transforms whose random numbers depend only on (seed, epoch, sample number).

A sampler of a dataloader that is built from a config yields sample numbers of the class :class:`KeyedIndex`: an
``int`` with the seed and the epoch. When a batch is read (``__getitems__``, in a worker or in the training process),
the generators of ``random``, ``numpy.random`` and ``torch`` are seeded from (seed, epoch, sample number) before each
sample.
In the training process their states are restored after the batch, so the random numbers of the model do not change.
Random transforms therefore give the same result with any number of workers, at any position in a batch, and after a
resume.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

_MASK = (1 << 64) - 1


class KeyedIndex(int):
    """The number of a sample, with a key: the seed of the run, and the epoch in which the sampler drew the number.

    The random transforms of the sample are seeded from number and key, so they do not depend on the worker process.

    Examples:
        >>> index = KeyedIndex.of(3, seed=0, epoch=2)
        >>> index + 1, index.key
        (4, (0, 2))
    """

    key: tuple[int, int]

    @classmethod
    def of(cls, index: int, seed: int, epoch: int) -> KeyedIndex:
        """Returns the sample number ``index`` as a KeyedIndex with the key ``(seed, epoch)``."""
        keyed = cls(index)
        keyed.key = (seed, epoch)
        return keyed

    def __reduce__(self) -> tuple[Callable[..., KeyedIndex], tuple[int, int, int]]:
        return _unpickle, (int(self), *self.key)


def _unpickle(index: int, seed: int, epoch: int) -> KeyedIndex:
    # __reduce__ returns this function instead of KeyedIndex.of, because pickling a bound class method takes three times
    # as long.
    return KeyedIndex.of(index, seed, epoch)


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Returns the 64-bit seed of the random transforms of a sample in an epoch.

    The three numbers are mixed, so that neighbouring samples and epochs get unrelated seeds.

    Source: the finalizer of SplitMix64, Steele et al. 2014, doi:10.1145/2660193.2660195.

    Examples:
        >>> sample_seed(0, 0, 1) != sample_seed(0, 1, 0)
        True
    """
    mixed = 0
    for number in (seed, epoch, index):
        mixed = (mixed + number + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        mixed ^= mixed >> 31
    return mixed


def seed_generators(seed: int) -> None:
    """Seeds ``random``, torch's CPU generator and ``numpy.random`` (with the lower 32 bits) with a seed of 64 bits."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002  # transforms use this global generator
    torch.default_generator.manual_seed(seed)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Restores the states of ``random``, ``numpy.random`` and torch's CPU generator after the ``with`` block."""
    python_state = random.getstate()
    # With legacy=False numpy returns the state as a dict, which takes half as long as the tuple of the default.
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  # transforms use this global generator
    torch_state = torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002  # transforms use this global generator
        torch.set_rng_state(torch_state)


def fetch(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """Reads samples from a dataset, with reproducible random transforms.

    Before each sample whose number is a :class:`KeyedIndex`, the random generators of Python, numpy and torch are
    seeded from the number and its key. For plain numbers the generators are not seeded.

    Args:
        dataset: an object with ``__getitem__``.
        indices: sample numbers, keyed or plain.
    """
    if not any(isinstance(index, KeyedIndex) for index in indices):
        return [dataset[index] for index in indices]
    samples = []
    # In the training process the model draws from the same generators, so their states are restored after the samples.
    # In a worker process there is no model, and the states are not restored: random numbers in the collate function then
    # depend on the seed of the batch's last sample, and not on which worker loads the batch.
    generators: AbstractContextManager[None] = nullcontext()
    if get_worker_info() is None:
        generators = kept_generators()
    with generators:
        for index in indices:
            if isinstance(index, KeyedIndex):
                seed_generators(sample_seed(*index.key, index))
            samples.append(dataset[int(index)])
    return samples


class KeyedFetch:
    """Base class of datasets whose random transforms are seeded per sample.

    A ``DataLoader`` calls the dataset's method ``__getitems__`` once per batch, instead of ``__getitem__`` per sample.
    """

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Reads the samples of a batch, and seeds the random generators before each sample; see :func:`fetch`."""
        return fetch(self, indices)


class _Items:
    """Callable that is set as ``__getitems__`` on a dataset whose class does not derive from :class:`KeyedFetch`."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        return fetch(self.dataset, indices)


class _Wrapped(KeyedFetch, Dataset[Any]):
    """Wraps a dataset whose attributes cannot be set, such as a list; the wrapper has the method ``__getitems__``."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


class KeyedSampler:
    """Wraps a sampler so that it yields :class:`KeyedIndex` numbers, for reproducible random transforms.

    All other attributes are those of the wrapped sampler.

    Args:
        sampler: the sampler, which yields sample numbers. Its attribute ``epoch`` is the epoch in the keys of the
            numbers. Without that attribute the epoch is the argument of the last call of :meth:`set_epoch`.
        seed: seed of the run, which is part of the keys.

    Examples:
        >>> sampler = KeyedSampler([3], seed=0)
        >>> sampler.set_epoch(2)
        >>> next(iter(sampler)).key
        (0, 2)
    """

    def __init__(self, sampler: Any, seed: int) -> None:
        self.sampler = sampler
        self.sample_seed = seed
        self._epoch_last_set = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch in the keys of sample numbers, and calls ``set_epoch`` of the wrapped sampler if it exists."""
        self._epoch_last_set = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __getattr__(self, name: str) -> Any:
        if name == "sampler" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __iter__(self) -> Iterator[Any]:
        for index in self.sampler:
            if isinstance(index, int) and not isinstance(index, KeyedIndex):
                index = KeyedIndex.of(index, self.sample_seed, getattr(self.sampler, "epoch", self._epoch_last_set))
            yield index

    def __len__(self) -> int:
        return len(self.sampler)


def reproducible_loader_parts(
    dataset: Any, sampler: Any, batch_sampler: Any = None, *, seed: int = 0
) -> tuple[Any, Any, Any]:
    """Prepares the parts of a ``DataLoader`` so that random transforms depend only on (seed, epoch, sample number).

    The samplers of eng are changed in place, any other sampler is wrapped. The dataset gets a method ``__getitems__``;
    a dataset whose attributes cannot be set, such as a list, is wrapped. Two dataloaders are left unchanged: one over
    an ``IterableDataset``, which has no sample numbers, and one with ``batch_size=None``, which reads no batches.

    Args:
        dataset: a map-style dataset.
        sampler: the sampler that yields the sample numbers; None leaves the parts unchanged.
        batch_sampler: the batch sampler, whose attribute ``sampler`` is `sampler`; None if the dataloader has none.
        seed: seed of the run.

    Returns:
        dataset, sampler and batch sampler for the ``DataLoader``, in this order.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> from eng.dataset import DefaultSampler
        >>> class Noise(list):
        ...     def __getitem__(self, index):
        ...         return np.random.rand()
        >>> noise = Noise(range(4))
        >>> dataset, sampler, _ = reproducible_loader_parts(noise, DefaultSampler(noise, seed=0), seed=0)
        >>> loader = DataLoader(dataset, batch_size=2, sampler=sampler)
        >>> [batch.tolist() for batch in loader] == [batch.tolist() for batch in loader]
        True
    """
    if sampler is None or isinstance(dataset, IterableDataset):
        return dataset, sampler, batch_sampler
    keyed = sampler
    if hasattr(sampler, "key_samples"):
        sampler.key_samples(seed)
    else:
        keyed = KeyedSampler(sampler, seed)
        if getattr(batch_sampler, "sampler", None) is sampler:
            batch_sampler.sampler = keyed
    return _with_getitems(dataset), keyed, batch_sampler


def _with_getitems(dataset: Any) -> Any:
    """Sets the method ``__getitems__`` on a dataset, which seeds the random generators before each sample.

    A dataset whose attributes cannot be set, such as a list, is wrapped. The dataset or the wrapper is returned.
    """
    if isinstance(dataset, KeyedFetch) or isinstance(getattr(dataset, "__getitems__", None), _Items):
        return dataset
    try:
        dataset.__getitems__ = _Items(dataset)
    except AttributeError:
        return _Wrapped(dataset)
    return dataset
