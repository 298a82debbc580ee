"""Where a pass over the data goes on after a resume: no sample before that place is read again."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from eng.dist import get_world_size

logger = logging.getLogger(__name__)


def batches_from(loader: Any, start: int, on_start: Callable[[], None]) -> Iterator[Any]:
    """The batches of ``loader`` from the ``start``-th on.

    Args:
        loader: a DataLoader, or any iterable of batches.
        start: batches of this pass, on this rank, that were consumed already.
        on_start: called when the order of the pass is fixed and before the first sample is read; it puts the
            random generators where they were.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return _read_past(loader, start, on_start)
    if _seekable(loader):
        loader.sampler.seek(start * loader.batch_size * get_world_size())  # type: ignore[attr-defined, operator]  # _seekable looked
        start = 0
    if loader.batch_size is not None or loader.batch_sampler is not None:
        return iter(_rebuilt(loader, batch_sampler=_Skip(loader.batch_sampler, start, on_start)))
    return iter(_rebuilt(loader, batch_size=None, sampler=_Skip(loader.sampler, start, on_start)))


def set_epoch(loader: Any, epoch: int) -> None:
    """Tells the sampler behind the batch sampler of ``loader``, or its own sampler, the number of the pass."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    for sampler in (getattr(batch_sampler, "sampler", None), getattr(loader, "sampler", None), batch_sampler):
        tell = getattr(sampler, "set_epoch", None)
        if tell is not None:
            tell(epoch)
            return


class _Skip:
    """Indices without the first ``start``; drawing the first one starts the sampler, then calls ``on_start``."""

    def __init__(self, inner: Any, start: int, on_start: Callable[[], None]) -> None:
        self.inner, self.start, self.on_start = inner, start, on_start

    def __iter__(self) -> Iterator[Any]:
        rest = itertools.islice(self.inner, self.start, None)
        first = list(itertools.islice(rest, 1))
        self.on_start()
        yield from first
        yield from rest

    def __len__(self) -> int:
        return max(len(self.inner) - self.start, 0)


def _seekable(loader: DataLoader[Any]) -> bool:
    plain = type(loader.batch_sampler) is BatchSampler and loader.batch_size is not None
    return plain and hasattr(loader.sampler, "seek")


def _rebuilt(loader: DataLoader[Any], **changed: Any) -> DataLoader[Any]:
    """``loader`` with another order, for one pass."""
    return DataLoader(
        loader.dataset,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context if loader.num_workers else None,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
        **changed,
    )


def _read_past(loader: Any, start: int, on_start: Callable[[], None]) -> Iterator[Any]:
    batches: Iterator[Any] = iter(loader)
    if start and not hasattr(loader, "__getitem__"):
        logger.warning("The data cannot be entered in the middle: %d batches are read again and dropped", start)
    for _ in range(start):
        next(batches, None)
    on_start()
    return batches


class _InfiniteDataloaderIterator:
    """Endless batches: pass after pass over a dataloader, each with its number told to the sampler.

    Args:
        dataloader: batches of one pass.
        epoch: number of the pass to begin with.
        batch: batches of that pass that were consumed already.
        on_start: see :func:`batches_from`; None enters the first pass at its beginning.
        before_pass: called before each pass.
    """

    def __init__(
        self,
        dataloader: Any,
        epoch: int = 0,
        batch: int = 0,
        on_start: Callable[[], None] | None = None,
        before_pass: Callable[[], None] = lambda: None,
    ) -> None:
        self._dataloader = dataloader
        self._before_pass = before_pass
        self._epoch = epoch
        self._told = False
        if epoch:
            set_epoch(dataloader, epoch)
        before_pass()
        self._iterator = iter(dataloader) if on_start is None else batches_from(dataloader, batch, on_start)

    @property
    def epoch(self) -> int:
        """Passes that are over."""
        return self._epoch

    def __iter__(self) -> _InfiniteDataloaderIterator:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._iterator)
        except StopIteration:
            return self._next_pass()

    def _next_pass(self) -> Any:
        if not self._told:
            self._told = True
            logger.warning(
                "Reached the end of the dataloader, which begins again here and at each further end; "
                "sampler=dict(type='InfiniteSampler') has no end, at which worker processes stop and start again"
            )
        self._epoch += 1
        set_epoch(self._dataloader, self._epoch)
        self._before_pass()
        self._iterator = iter(self._dataloader)
        try:
            return next(self._iterator)
        except StopIteration:
            raise ValueError("the training dataloader gives no batch") from None
