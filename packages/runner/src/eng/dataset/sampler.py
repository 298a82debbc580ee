"""Samplers that can resume in the middle of an epoch: the order depends only on seed, epoch and position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import torch
from torch.utils.data import Sampler

from eng.dist import get_dist_info, get_ranks_per_share, sync_random_seed
from eng.registry import DATA_SAMPLERS

from ._randomness import KeyedIndex

_CHUNK = 1 << 14


class SeekableSampler(Sampler[int]):
    """Base class of :class:`DefaultSampler` and :class:`InfiniteSampler`: rank, seed, position and state.

    Positions are global: position ``p`` of an epoch means that all ranks together have drawn ``p`` samples.

    Args:
        dataset: the dataset; only its length is used.
        shuffle: whether the order is random, with a new order in each epoch.
        seed: seed of the order, the same on all ranks; None lets the ranks agree on a random seed.
    """

    def __init__(self, dataset: Sized, shuffle: bool, seed: int | None) -> None:
        rank, world_size = get_dist_info()
        # Ranks that share a model replica, as with tensor parallelism, read the same samples.
        self.rank, self.world_size = rank // get_ranks_per_share(), world_size // get_ranks_per_share()
        self.dataset = dataset
        self.shuffle = shuffle
        if seed is None:
            seed = sync_random_seed()
        self.seed: int = int(seed)
        self.epoch = 0
        self._start = 0
        self._reached = 0
        self._sample_seed: int | None = None

    def seek(self, position: int) -> None:
        """Lets the next ``iter()`` begin at ``position``, without drawing the samples before it.

        Args:
            position: number of samples of this epoch to skip, over all ranks.

        Raises:
            ValueError: ``position`` is negative.
        """
        if position < 0:
            raise ValueError(f"a sampler can seek to position 0 or more, got {position}")
        self._start = self._reached = int(position)

    def state_dict(self) -> dict[str, int]:
        """Returns ``seed``, ``epoch`` and ``position``, the number of samples that all ranks have drawn in this epoch.

        A dataloader with workers draws samples in advance, so a training loop must replace the position by the number
        of samples it has consumed: ``{**sampler.state_dict(), "position": iterations * batch_size * world_size}``.
        """
        return {"seed": self.seed, "epoch": self.epoch, "position": self._reached}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Restores seed, epoch and position of :meth:`state_dict`, also with another number of ranks.

        Raises:
            KeyError: an entry of the state is missing.
        """
        missing = [name for name in ("seed", "epoch", "position") if name not in state_dict]
        if missing:
            raise KeyError(f"the state of a sampler lacks {missing}; it has {sorted(state_dict)}")
        self.seed, self.epoch = int(state_dict["seed"]), int(state_dict["epoch"])
        self.seek(state_dict["position"])

    def key_samples(self, seed: int | None) -> None:
        """Makes the sampler yield :class:`KeyedIndex` numbers with this seed, for reproducible random transforms.

        Args:
            seed: seed of the run; None makes the sampler yield plain numbers again.
        """
        self._sample_seed = seed

    def _order(self, epoch: int) -> torch.Tensor | range:
        """Returns the order of the samples in one pass over the dataset: ``(len(dataset),)`` int64."""
        if not self.shuffle:
            return range(len(self.dataset))
        generator = torch.Generator()
        generator.manual_seed(self.seed + epoch)
        return torch.randperm(len(self.dataset), generator=generator)

    def _emit(self, order: torch.Tensor | range, start: int, stop: int, epoch: int) -> Iterator[int]:
        """Yields every ``world_size``-th number of ``order`` from ``start`` up to ``stop``, and counts the position."""
        for low in range(start, stop, _CHUNK * self.world_size):
            part: Any = order[low : min(stop, low + _CHUNK * self.world_size) : self.world_size]
            if isinstance(part, torch.Tensor):
                part = part.tolist()
            for index in part:
                self._reached += self.world_size
                if self._sample_seed is None:
                    yield index
                else:
                    yield KeyedIndex.of(index, self._sample_seed, epoch)


@DATA_SAMPLERS.register_module()
class DefaultSampler(SeekableSampler):
    """Draws each sample once per epoch, distributed over all ranks.

    Args:
        dataset: the dataset; only its length is used.
        shuffle: whether the order is random, with a new order in each epoch.
        seed: seed of the order, the same on all ranks; None lets the ranks agree on a random seed.
        round_up: repeat the first samples so that all ranks draw equally many; with False some ranks draw one less.

    Examples:
        >>> sampler = DefaultSampler(range(6), seed=0)
        >>> order = list(sampler)
        >>> sampler.seek(4)
        >>> list(sampler) == order[4:]
        True
        >>> sampler.set_epoch(1)
        >>> list(sampler) == order, sorted(sampler) == sorted(order)
        (False, True)
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True) -> None:
        super().__init__(dataset, shuffle, seed)
        self.round_up = round_up
        self.num_samples = self._share_of(0)
        self.total_size = len(dataset)
        if round_up:
            self.total_size = self.num_samples * self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Selects the order of ``epoch``; a new epoch begins at position 0, the present epoch keeps its position."""
        if epoch != self.epoch:
            self.epoch = int(epoch)
            self.seek(0)

    def __len__(self) -> int:
        """Number of samples of an epoch on this rank."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        start, self._start = self._start, 0
        self._reached = start
        return self._indices(start, self.epoch)

    def _indices(self, start: int, epoch: int) -> Iterator[int]:
        order = self._order(epoch)
        yield from self._emit(order, start + self.rank, len(order), epoch)
        have = len(range(start + self.rank, len(order), self.world_size))
        if self._share_of(start) > have and len(order):
            # With round_up, ranks without a sample in the last round draw one from the beginning of the order.
            position = (start + self.rank + have * self.world_size - len(order)) % len(order)
            yield from self._emit(order, position, position + 1, epoch)

    def _share_of(self, start: int) -> int:
        """Returns the number of samples that this rank draws from global position ``start`` to the end of the epoch."""
        left = max(len(self.dataset) - start, 0)
        if self.round_up:
            return math.ceil(left / self.world_size)
        return max(math.ceil((left - self.rank) / self.world_size), 0)


@DATA_SAMPLERS.register_module()
class InfiniteSampler(SeekableSampler):
    """Draws samples without end, for training by iterations: one pass over the dataset follows the other.

    The ranks take turns in one endless sequence, whose first pass has the same order as in MMEngine for the same seed.
    The order of pass ``k`` depends only on ``(seed, k)``, so any position is reached without drawing earlier passes.
    Every ``iter()`` begins at the position of the last :meth:`seek`, or at the start.

    Args:
        dataset: the dataset; only its length is used.
        shuffle: whether the order is random, with a new order in each pass.
        seed: seed of the order, the same on all ranks; None lets the ranks agree on a random seed.

    Raises:
        ValueError: the dataset is empty.

    Examples:
        >>> from itertools import islice
        >>> sampler = InfiniteSampler(range(3), shuffle=False)
        >>> list(islice(sampler, 5)), list(islice(sampler, 2))
        ([0, 1, 2, 0, 1], [0, 1])
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        self.size = len(dataset)
        if not self.size:
            raise ValueError("InfiniteSampler cannot draw from an empty dataset")

    def set_epoch(self, epoch: int) -> None:
        """Does nothing, since the endless sequence has no epochs."""

    def __len__(self) -> int:
        """Number of samples in one pass over the dataset, over all ranks."""
        return self.size

    def __iter__(self) -> Iterator[int]:
        start, self._start = self._start, 0
        self._reached = start
        return self._indices(start)

    def _indices(self, start: int) -> Iterator[int]:
        position = start + self.rank
        while True:
            pass_number, offset = divmod(position, self.size)
            yield from self._emit(self._order(pass_number), offset, self.size, pass_number)
            position += len(range(offset, self.size, self.world_size)) * self.world_size
