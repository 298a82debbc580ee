"""Samplers that know where they are: the order is a function of (seed, epoch, position) and can be entered anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sized

import torch
from torch.utils.data import Sampler

from eng.dist import get_dist_info, get_ranks_per_share, sync_random_seed
from eng.registry import DATA_SAMPLERS

from ._randomness import KeyedIndex

_CHUNK = 1 << 14


class SeekableSampler(Sampler[int]):
    """What :class:`DefaultSampler` and :class:`InfiniteSampler` share: rank, seed, place and state.

    Positions are global: position ``p`` of an epoch means that ``p`` samples were given out over all ranks.

    Args:
        dataset: only its length is asked.
        shuffle: a random order, a new one in each epoch.
        seed: the same on all ranks; None agrees on a random one.
    """

    def __init__(self, dataset: Sized, shuffle: bool, seed: int | None) -> None:
        rank, world_size = get_dist_info()
        self.rank, self.world_size = rank // get_ranks_per_share(), world_size // get_ranks_per_share()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed: int = sync_random_seed() if seed is None else int(seed)
        self.epoch = 0
        self._start = 0
        self._reached = 0
        self._sample_seed: int | None = None

    def seek(self, position: int) -> None:
        """The next iteration begins at ``position``; costs nothing, reads nothing.

        Args:
            position: samples of this epoch to pass over, counted over all ranks.

        Raises:
            ValueError: ``position`` is negative.
        """
        if position < 0:
            raise ValueError(f"a sampler can seek to position 0 or more, got {position}")
        self._start = self._reached = int(position)

    def state_dict(self) -> dict[str, int]:
        """``seed``, ``epoch`` and ``position``, the samples drawn so far over all ranks.

        A loader with workers draws ahead of what a loop has seen. Such a loop saves the position that it has consumed:
        ``{**sampler.state_dict(), "position": iterations * batch_size * world_size}``.
        """
        return {"seed": self.seed, "epoch": self.epoch, "position": self._reached}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Goes on where the state was taken, on any number of ranks.

        Raises:
            KeyError: an entry is missing.
        """
        missing = [name for name in ("seed", "epoch", "position") if name not in state_dict]
        if missing:
            raise KeyError(f"the state of a sampler lacks {missing}; it has {sorted(state_dict)}")
        self.seed, self.epoch = int(state_dict["seed"]), int(state_dict["epoch"])
        self.seek(state_dict["position"])

    def key_samples(self, seed: int | None) -> None:
        """Lets the sampler yield keyed numbers (``int`` still) for reproducible transforms; None ends it."""
        self._sample_seed = seed

    def _order(self, epoch: int) -> torch.Tensor | range:
        """The order of one pass over the dataset: ``(len(dataset),)`` int64."""
        if not self.shuffle:
            return range(len(self.dataset))
        generator = torch.Generator()
        generator.manual_seed(self.seed + epoch)
        return torch.randperm(len(self.dataset), generator=generator)

    def _emit(self, order: torch.Tensor | range, start: int, stop: int, epoch: int) -> Iterator[int]:
        """Every ``world_size``-th number of ``order`` from ``start`` on, and the places counted as they go."""
        for low in range(start, stop, _CHUNK * self.world_size):
            part = order[low : min(stop, low + _CHUNK * self.world_size) : self.world_size]
            for index in part.tolist() if isinstance(part, torch.Tensor) else part:
                self._reached += self.world_size
                yield index if self._sample_seed is None else KeyedIndex.of(index, self._sample_seed, epoch)


@DATA_SAMPLERS.register_module()
class DefaultSampler(SeekableSampler):
    """Each sample once per epoch, over all ranks.

    Args:
        dataset: only its length is asked.
        shuffle: a random order, a new one in each epoch.
        seed: of the order, the same on all ranks; None agrees on a random one.
        round_up: repeats the first samples until all ranks have equally many; False leaves some a sample short.

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
        self.total_size = self.num_samples * self.world_size if round_up else len(dataset)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of ``epoch``; entering another epoch than the present one begins it at its start."""
        if epoch != self.epoch:
            self.epoch = int(epoch)
            self.seek(0)

    def __len__(self) -> int:
        """Samples of a whole epoch on this rank."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        start, self._start = self._start, 0
        self._reached = start
        return self._indices(start, self.epoch)

    def _indices(self, start: int, epoch: int) -> Iterator[int]:
        order = self._order(epoch)
        yield from self._emit(order, start + self.rank, len(order), epoch)
        have = len(range(start + self.rank, len(order), self.world_size))
        if self._share_of(start) > have and len(order):  # the last round is short: the first samples fill it up
            position = (start + self.rank + have * self.world_size - len(order)) % len(order)
            yield from self._emit(order, position, position + 1, epoch)

    def _share_of(self, start: int) -> int:
        """Samples that this rank has to give from global position ``start`` on."""
        left = max(len(self.dataset) - start, 0)
        return (
            math.ceil(left / self.world_size)
            if self.round_up
            else max(math.ceil((left - self.rank) / self.world_size), 0)
        )


@DATA_SAMPLERS.register_module()
class InfiniteSampler(SeekableSampler):
    """Samples without end: pass after pass, each in an order of its own, for training by iterations.

    Ranks take turns in one endless sequence, whose first pass has the order of MMEngine for the same seed. Pass ``k``
    is a function of ``(seed, k)`` alone, so that any position is reached without the passes before it. Every
    ``iter()`` begins at the sought position, or at the start.

    Args:
        dataset: only its length is asked.
        shuffle: a random order, a new one in each pass.
        seed: of the order, the same on all ranks; None agrees on a random one.

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
        """Does nothing: the sequence has no epochs."""

    def __len__(self) -> int:
        """Samples of one pass, over all ranks."""
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
