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
    """Base class of :class:`DefaultSampler` and :class:`InfiniteSampler`, which can continue within an epoch.

    Position ``p`` of an epoch means that all ranks together have drawn ``p`` samples in this epoch.

    Args:
        dataset: the dataset; only its length is used.
        shuffle: whether the order is random, with a new order in each epoch.
        seed: seed of the order, the same on all ranks; None lets the ranks agree on a random seed.
    """

    def __init__(self, dataset: Sized, shuffle: bool, seed: int | None) -> None:
        rank, world_size = get_dist_info()
        # Ranks that hold parts of the same model replica, as with tensor parallelism, read the same samples. So they
        # count as one rank here.
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
        """Lets the next ``iter()`` of this sampler begin at a position within the epoch, for example after a resume.

        The samples before the position are not drawn.

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
        """Restores seed, epoch and position from the result of :meth:`state_dict`.

        The number of ranks may differ from that at which the state was saved.

        Raises:
            KeyError: an entry of the state is missing.
        """
        missing = [name for name in ("seed", "epoch", "position") if name not in state_dict]
        if missing:
            raise KeyError(f"the state of a sampler lacks {missing}; it has {sorted(state_dict)}")
        self.seed, self.epoch = int(state_dict["seed"]), int(state_dict["epoch"])
        self.seek(state_dict["position"])

    def key_samples(self, seed: int | None) -> None:
        """Makes the sampler yield :class:`KeyedIndex` numbers, from which random transforms are seeded reproducibly.

        Args:
            seed: seed of the run; None makes the sampler yield plain numbers again.
        """
        self._sample_seed = seed

    def _order(self, epoch: int) -> torch.Tensor | range:
        """Returns the numbers of all samples in the order of one pass over the dataset.

        Args:
            epoch: number of the pass, from which a random order is seeded.
        """
        if not self.shuffle:
            return range(len(self.dataset))
        generator = torch.Generator()
        generator.manual_seed(self.seed + epoch)
        return torch.randperm(len(self.dataset), generator=generator)

    def _emit(self, order: torch.Tensor | range, start: int, stop: int, epoch: int) -> Iterator[int]:
        """Yields this rank's share of the sample numbers in `order`, and advances the position in the epoch.

        Args:
            order: the numbers of all samples in the order of the epoch.
            start: index in `order` of the first number to yield; every ``world_size``-th number follows.
            stop: index in `order` behind the last number.
            epoch: number of the epoch, for the keys of the numbers.
        """
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
        round_up: whether the first samples of the order are drawn again at the end of an epoch, so that all ranks draw
            equally many samples. With False some ranks draw one sample less.

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
        """Selects the order of the samples for the epoch `epoch`.

        If the epoch changes, the sampler begins at position 0; otherwise its position is kept, as after a resume.
        """
        if epoch != self.epoch:
            self.epoch = int(epoch)
            self.seek(0)

    def __len__(self) -> int:
        """Number of samples that this rank draws in a complete epoch."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        start, self._start = self._start, 0
        self._reached = start
        return self._indices(start, self.epoch)

    def _indices(self, start: int, epoch: int) -> Iterator[int]:
        """Yields the sample numbers that this rank draws from position `start` to the end of the epoch."""
        order = self._order(epoch)
        yield from self._emit(order, start + self.rank, len(order), epoch)
        have = len(range(start + self.rank, len(order), self.world_size))
        if self._share_of(start) > have and len(order):
            # The number of samples is no multiple of the number of ranks: with round_up, the ranks that would draw one
            # sample less draw a sample from the beginning of the order.
            position = (start + self.rank + have * self.world_size - len(order)) % len(order)
            yield from self._emit(order, position, position + 1, epoch)

    def _share_of(self, start: int) -> int:
        """Returns the number of samples that this rank still draws in an epoch.

        Args:
            start: number of samples that all ranks together have drawn in the epoch so far.
        """
        left = max(len(self.dataset) - start, 0)
        if self.round_up:
            return math.ceil(left / self.world_size)
        return max(math.ceil((left - self.rank) / self.world_size), 0)


@DATA_SAMPLERS.register_module()
class InfiniteSampler(SeekableSampler):
    """Draws samples without end, for training by iterations: after each pass over the dataset the next pass begins.

    All ranks draw from one endless sequence of samples, in turn. The order of pass ``k`` depends only on the seed and
    ``k``, so that :meth:`seek` does not draw the samples before its position. The order of the first pass is that of
    MMEngine for the same seed. Every ``iter()`` begins at the position of the last :meth:`seek`, or at position 0.

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
