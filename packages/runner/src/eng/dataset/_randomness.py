"""Random numbers inside transforms that depend on (seed, epoch, sample) and on nothing else.

A sample number that comes from a sampler of a config-built loader is a :class:`KeyedIndex`: an ``int`` that also says
from which seed and epoch it comes. Where a batch is fetched (``__getitems__``, in whichever process that is),
``random``, ``numpy.random`` and ``torch`` are seeded from (seed, epoch, sample) before each sample; outside of workers
they are put back after the batch where they were. So the number of workers, the place of a sample in a batch and a
resume change nothing, and the model's own random numbers are not touched.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

_MASK = (1 << 64) - 1


class KeyedIndex(int):
    """A sample number that knows the seed and the epoch it was drawn in.

    Examples:
        >>> index = KeyedIndex.of(3, seed=0, epoch=2)
        >>> index + 1, index.key
        (4, (0, 2))
    """

    key: tuple[int, int]

    @classmethod
    def of(cls, index: int, seed: int, epoch: int) -> KeyedIndex:
        """``index`` with its key."""
        keyed = cls(index)
        keyed.key = (seed, epoch)
        return keyed

    def __reduce__(self) -> tuple[Callable[..., KeyedIndex], tuple[int, int, int]]:
        return _keyed, (int(self), *self.key)


def _keyed(index: int, seed: int, epoch: int) -> KeyedIndex:
    # A function of the module pickles in a third of the time that a bound class method takes.
    return KeyedIndex.of(index, seed, epoch)


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """64 well-mixed bits of the three numbers.

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
    """Seeds ``random``, ``numpy.random`` and torch's CPU generator with 64 bits."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002  # what transforms draw from
    torch.default_generator.manual_seed(seed)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Puts the three generators back, on the way out, where they were on the way in."""
    # Numpy's state as a dictionary: the tuple takes twice as long.
    states = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002  # as above
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002  # as above
        torch.set_rng_state(states[2])


def fetch(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """The samples, each with random numbers of its own where its index is keyed.

    Args:
        dataset: anything with ``__getitem__``.
        indices: sample numbers, keyed or plain.
    """
    if not any(isinstance(index, KeyedIndex) for index in indices):
        return [dataset[index] for index in indices]
    samples = []
    # A worker has no generators of a model to keep: what runs behind its samples (a collate function) draws from the
    # last sample's, so that it does not depend on the worker either.
    with kept_generators() if get_worker_info() is None else nullcontext():
        for index in indices:
            if isinstance(index, KeyedIndex):
                seed_generators(sample_seed(*index.key, index))
            samples.append(dataset[int(index)])
    return samples


class KeyedFetch:
    """Base of datasets that fetch keyed samples; torch's loader calls ``__getitems__`` with a whole batch."""

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of a batch."""
        return fetch(self, indices)


class _Items:
    """The batched look-up given to a dataset that has none for keyed samples."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        return fetch(self.dataset, indices)


class _Wrapped(KeyedFetch, Dataset[Any]):
    """A dataset that takes no attribute, such as a list."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


class KeyedSampler:
    """Another sampler whose numbers are keyed; everything else is as that sampler has it.

    Args:
        sampler: yields sample numbers; its ``epoch`` is the key's, or the one that :meth:`set_epoch` was last told.
        seed: the key's seed.

    Examples:
        >>> sampler = KeyedSampler([3], seed=0)
        >>> sampler.set_epoch(2)
        >>> next(iter(sampler)).key
        (0, 2)
    """

    def __init__(self, sampler: Any, seed: int) -> None:
        self.sampler, self.sample_seed = sampler, seed
        self._told_epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Tells the number of the pass, to the sampler behind too where that asks for it."""
        self._told_epoch = epoch
        tell = getattr(self.sampler, "set_epoch", None)
        if tell is not None:
            tell(epoch)

    def __getattr__(self, name: str) -> Any:
        if name == "sampler" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __iter__(self) -> Iterator[Any]:
        for index in self.sampler:
            if isinstance(index, int) and not isinstance(index, KeyedIndex):
                index = KeyedIndex.of(index, self.sample_seed, getattr(self.sampler, "epoch", self._told_epoch))
            yield index

    def __len__(self) -> int:
        return len(self.sampler)


def reproducible_loader_parts(
    dataset: Any, sampler: Any, batch_sampler: Any = None, *, seed: int = 0
) -> tuple[Any, Any, Any]:
    """What to give to a ``DataLoader`` so that random transforms depend on (seed, epoch, sample) only.

    Samplers of this package and datasets stay the objects they are; a sampler of another kind comes back wrapped, and
    so does a dataset that takes no attributes (a list). A loader over an ``IterableDataset`` has no sample numbers, one
    with ``batch_size=None`` fetches none by batches: both stay as they are.

    Args:
        dataset: a map-style dataset.
        sampler: what draws the sample numbers; None leaves everything as it is.
        batch_sampler: what groups them, with that sampler as its attribute ``sampler``.
        seed: seed of the run.

    Returns:
        dataset, sampler and batch sampler, in this order.

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
    return _fetching(dataset), keyed, batch_sampler


def _fetching(dataset: Any) -> Any:
    if isinstance(dataset, KeyedFetch) or isinstance(getattr(dataset, "__getitems__", None), _Items):
        return dataset
    try:
        dataset.__getitems__ = _Items(dataset)
    except AttributeError:
        return _Wrapped(dataset)
    return dataset
