"""Resumes a pass over the data in its middle, if possible without reading the consumed samples again."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from eng.dataset._loader_parts import dataset_of, is_stream
from eng.dataset.utils import length_of, set_epoch
from eng.dist import get_data_world_size
from eng.logging.progress import LONG_LOAD_S, track
from eng.logging.words import counted

from ._limits import LimitedLoader, RepeatedBatches, is_part_of_loader
from ._losses import count_samples
from ._streams import StreamState, gives_empty_pass_at_end, keeps_position, load_stream

logger = logging.getLogger(__name__)


def batches_from(
    loader: Any, start: int, on_start: Callable[[], None], saved: StreamState | None = None
) -> Iterator[Any]:
    """Iterates over the batches of a dataloader, without the first ``start`` batches.

    Args:
        loader: a DataLoader, or any iterable of batches.
        start: number of batches of this pass, on this rank, on which the saved run has already trained.
        on_start: function that restores the random generators; called after the order of the samples in this pass is
            drawn and before the first sample is read.
        saved: saved position of a dataloader with a ``state_dict``, see
            :func:`eng.runner.loops._streams.capture_stream`; None if there is none.
    """
    if isinstance(loader, LimitedLoader):
        return _batches_of_limited(loader, start, on_start, saved)
    if load_stream(loader, saved):
        if start and saved is not None and saved.get("has_ended"):
            on_start()
            return iter(())
        length = length_of(loader)
        if length is not None and start >= length:
            if gives_empty_pass_at_end(loader):
                list(loader)
            on_start()
            return iter(())
        return _enter(loader, start, on_start)
    has_no_sampler = not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset)
    if has_no_sampler or keeps_position(loader):
        return _read_past(loader, start, on_start)
    if _can_seek(loader):
        loader.sampler.seek(start * loader.batch_size * get_data_world_size())
        start = 0
    _skip_once(loader, start, on_start)
    return iter(loader)


def _batches_of_limited(
    loader: LimitedLoader, start: int, on_start: Callable[[], None], saved: StreamState | None
) -> Iterator[Any]:
    """Iterates like :func:`batches_from` over a dataloader with ``limit_batches``.

    There are no batches if the saved run consumed all of them.
    """
    if start < loader.count:
        return itertools.islice(batches_from(loader.loader, start, on_start, saved), loader.count - start)
    inner = loader.loader
    if isinstance(inner, DataLoader) and not isinstance(inner.dataset, IterableDataset):
        # The completed pass drew an order of samples, so the generators must advance by one order here too.
        list(itertools.islice(inner.batch_sampler or inner.sampler, 1))
    on_start()
    return iter(())


def _skip_once(loader: DataLoader[Any], start: int, on_start: Callable[[], None]) -> None:
    """Makes the next pass of a DataLoader, and only this pass, skip its first ``start`` batches.

    The sampler is replaced for one pass, so that all options of the DataLoader stay in effect.
    """
    name = "batch_sampler"
    if loader.batch_sampler is None:
        name = "sampler"
    inner = vars(loader)[name]
    # vars() is used, because DataLoader.__setattr__ refuses a new sampler. A DataLoader with persistent workers uses one
    # iterator, and with it this sampler, in all later passes too. Therefore _Skip skips indices in its first pass only.
    vars(loader)[name] = _Skip(inner, start, on_start, lambda: vars(loader).update({name: inner}))


class _Skip:
    """A sampler that skips the first ``start`` indices of its first pass.

    Args:
        inner: the sampler whose indices are yielded.
        start: number of indices to skip in the first pass.
        on_start: called when the first index of the first pass is drawn.
        on_pass: called when the first pass begins.
    """

    def __init__(self, inner: Any, start: int, on_start: Callable[[], None], on_pass: Callable[[], None]) -> None:
        self.inner, self.start, self.on_start, self.on_pass = inner, start, on_start, on_pass
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        if name == "inner" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __iter__(self) -> Iterator[Any]:
        self.on_pass()
        # A DataLoader with workers creates two iterators and draws only from the second one. Indices are therefore not
        # skipped here, but in _indices(), when the first index is drawn.
        return self._indices()

    def _indices(self) -> Iterator[Any]:
        """Yields the indices of one pass; the first pass begins at its ``start``-th index."""
        if self._is_over:
            yield from self.inner
            return
        self._is_over = True
        later = itertools.islice(self.inner, self.start, None)
        first = list(itertools.islice(later, 1))
        self.on_start()
        yield from first
        yield from later

    def __len__(self) -> int:
        return len(self.inner)


def _can_seek(loader: DataLoader[Any]) -> bool:
    """Whether the sampler can jump to a sample with its method ``seek``, and batches are consecutive samples."""
    plain = type(loader.batch_sampler) is BatchSampler and loader.batch_size is not None
    return plain and hasattr(loader.sampler, "seek")


def _enter(loader: Any, start: int, on_start: Callable[[], None]) -> Iterator[Any]:
    """Iterates over a dataloader whose position was restored by its ``load_state_dict``.

    ``start`` is the number of batches of this pass on which the saved run has already trained; ``on_start`` restores
    the random generators. If ``start`` is 0 and the dataloader has no batch left, its position was the end of a pass:
    the batches of the next pass are yielded instead.
    """
    batches: Iterator[Any] = iter(loader)
    on_start()
    if start:
        return batches
    return _OrAnew(batches, loader)


class _OrAnew:
    """Yields the batches of an iterator or, if the iterator yields none, the batches of a new pass over `loader`.

    An iterator without batches means that the restored position was the end of a pass.
    """

    def __init__(self, batches: Iterator[Any], loader: Any) -> None:
        self.batches, self.loader = batches, loader
        self._is_empty = True

    def __getattr__(self, name: str) -> Any:
        if name == "batches" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Returns the next batch; begins a new pass over the dataloader if the iterator has not yielded any batch."""
        try:
            batch = next(self.batches)
        except StopIteration:
            if not self._is_empty:
                raise
            self.batches = iter(self.loader)
            batch = next(self.batches)
        self._is_empty = False
        return batch


def _read_past(loader: Any, start: int, on_start: Callable[[], None]) -> Iterator[Any]:
    """Reads and drops the first ``start`` batches of a dataloader that cannot start in the middle of a pass.

    Then calls ``on_start``, which restores the random generators, and returns the iterator over the remaining batches.
    For a stream, a warning says how many samples were read again.
    """
    batches: Iterator[Any] = iter(loader)
    passed = track(itertools.islice(batches, start), "skip", start, unit="batches", delay_seconds=LONG_LOAD_S)
    samples = sum(count_samples(batch) for batch in passed)
    if start and is_stream(loader):
        logger.warning(
            "The data cannot be entered in the middle: %s (%s) that the saved run had consumed were read again "
            "and skipped. A loader or dataset with state_dict() and load_state_dict(), such as torchdata's "
            "StatefulDataLoader, spares that",
            counted(samples, "sample"), counted(start, "batch", "batches"),
        )  # fmt: skip
    on_start()
    return batches


class _InfiniteDataloaderIterator:
    """Yields batches without end: when a pass over the dataloader ends, calls ``set_epoch`` and begins the next pass.

    Args:
        dataloader: dataloader that yields the batches of one pass.
        epoch: number of the first pass, above 0 in a resumed run.
        batch: number of batches of the first pass on which the saved run has already trained.
        on_start: see :func:`batches_from`; None begins the first pass at its first batch.
        before_pass: function that is called before each pass.
        saved: see :func:`batches_from`.
        limit: ``max_iters`` of the run, for messages; None if unknown.
    """

    def __init__(
        self,
        dataloader: Any,
        epoch: int = 0,
        batch: int = 0,
        on_start: Callable[[], None] | None = None,
        before_pass: Callable[[], None] = lambda: None,
        saved: StreamState | None = None,
        limit: int | None = None,
    ) -> None:
        self._dataloader = dataloader
        self._before_pass = before_pass
        self._epoch = epoch
        self._limit = limit
        self._has_warned = False
        self._num_batches = batch
        if epoch:
            set_epoch(dataloader, epoch)
        before_pass()
        self._iterator: Iterator[Any]
        if on_start is None:
            self._iterator = iter(dataloader)
        else:
            self._iterator = batches_from(dataloader, batch, on_start, saved)

    @property
    def epoch(self) -> int:
        """Number of completed passes."""
        return self._epoch

    @property
    def batches(self) -> Iterator[Any]:
        """The iterator of the current pass."""
        return self._iterator

    def __iter__(self) -> _InfiniteDataloaderIterator:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._iterator)
        except StopIteration:
            batch = self._next_pass()
        self._num_batches += 1
        return batch

    def end(self) -> None:
        """Drops the iterator of the current pass, which ends its worker processes."""
        self._iterator = iter(())

    def _next_pass(self) -> Any:
        """Begins the next pass and returns its first batch; logs a warning when the first pass ends.

        Raises a ValueError if the next pass yields no batch.
        """
        if not self._has_warned and not isinstance(self._dataloader, RepeatedBatches):
            self._has_warned = True
            logger.warning("%s", self._end_of_pass())
        self._epoch += 1
        set_epoch(self._dataloader, self._epoch)
        self._before_pass()
        self._iterator = iter(self._dataloader)
        try:
            batch = next(self._iterator)
        except StopIteration:
            raise ValueError(self._nothing_left()) from None
        self._num_batches = 0
        return batch

    def _end_of_pass(self) -> str:
        """Returns the text of the warning that is logged when the first pass over the data ends."""
        if length_of(self._dataloader) is not None:
            text = "Reached the end of the dataloader, which begins again here and at each further end"
            if not self._takes_sampler():
                return text
            return f"{text}; sampler=dict(type='InfiniteSampler') has no end, at which worker processes stop and start again"
        wanted = ""
        if self._limit is not None:
            wanted = f" and max_iters={self._limit} asks for more"
        return (
            f"Reached the end of the dataloader: its stream gave {counted(self._num_batches, 'batch', 'batches')}{wanted}. It begins again here and at "
            f"each further end; for one pass write max_iters={self._num_batches}, or train_cfg=dict(by_epoch=True, max_epochs=1)"
        )

    def _takes_sampler(self) -> bool:
        """Whether the warning may recommend InfiniteSampler: not for a stream, and not with ``limit_batches``."""
        return not is_stream(dataset_of(self._dataloader)) and not is_part_of_loader(self._dataloader)

    def _nothing_left(self) -> str:
        """Returns the error text for a dataloader that cannot be read a second time, or that yields no batch at all."""
        if not self._num_batches:
            return "the training dataloader gives no batch"
        wanted = "the run"
        if self._limit is not None:
            wanted = f"max_iters={self._limit}"
        return (
            f"the training dataloader ended after {counted(self._num_batches, 'batch', 'batches')}, begins no second time, and {wanted} needs more: "
            f"write max_iters={self._num_batches}, or give an object whose __iter__ starts anew, such as an IterableDataset in "
            "place of a generator"
        )
