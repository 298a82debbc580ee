"""Determines the dataset indices of the samples in a batch, for error messages and reports."""

from __future__ import annotations

import itertools
import logging
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from eng.runner.state.rng import capture_rng, restore_rng

from ._generators import capture_generators, restore_generators, samplers_of

logger = logging.getLogger(__name__)


def sample_numbers(loop: Any, iteration: int | None = None) -> list[int] | None:
    """Returns the dataset indices of the samples in a batch of the current pass, on this rank.

    The sampler draws the order of the current pass again, from the random states at the beginning of the pass.
    Afterwards the random states are restored, so that training is not affected.

    Args:
        loop: the training loop.
        iteration: iteration that trains on the batch, counted from 0 at the start of the run; None means the current
            iteration.

    Returns:
        The indices; None if they cannot be determined: for a stream, a dataloader that is not a
        ``torch.utils.data.DataLoader``, or a batch of an earlier pass over the data.
    """
    loader = loop.dataloader
    rng = loop._pass_rng  # noqa: SLF001  # a part of the run
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset) or rng is None:
        return None
    batch = loop._batches_done()  # noqa: SLF001  # a part of the run
    if iteration is not None:
        batch -= loop.iter - iteration
    if batch < 0:
        return None
    generator_states, generators = capture_rng(), capture_generators(loader)
    attributes = [(sampler, dict(vars(sampler))) for _, sampler in samplers_of(loader)]
    try:
        restore_rng(rng)
        restore_generators(loader, rng.get("train_loader"))
        return _draw_numbers(loader, batch)
    except Exception:
        logger.debug("the samples of a batch are not known", exc_info=True)
        return None
    finally:
        for sampler, values in attributes:
            vars(sampler).update(values)
        restore_rng(generator_states)
        restore_generators(loader, generators)


class _Numbers:
    """A dataset whose samples are their own indices."""

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, index: int) -> int:
        return int(index)


def _draw_numbers(loader: DataLoader[Any], batch: int) -> list[int] | None:
    """Returns the dataset indices in batch number ``batch``, from 0, of a new pass; None if the pass is shorter.

    A DataLoader with the same sampler reads a dataset that returns indices, so that no sample is loaded.
    """
    order: Any = {"batch_sampler": loader.batch_sampler}
    if loader.batch_sampler is None:
        order = {"batch_size": None, "sampler": loader.sampler}
    numbers = DataLoader(_Numbers(), collate_fn=_as_list, generator=loader.generator, **order)  # type: ignore[arg-type, var-annotated]
    return next(itertools.islice(iter(numbers), batch, None), None)


def _as_list(items: Any) -> list[int]:
    """Collates indices to a list; a DataLoader with ``batch_size=None`` passes a single index instead of a list."""
    if isinstance(items, (list, tuple)):
        return [int(item) for item in items]
    return [int(items)]
