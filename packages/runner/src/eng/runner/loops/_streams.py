"""Loaders and datasets that save their own position: ``state_dict()`` and ``load_state_dict()``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from eng.checkpoint.torch_internals import has_met_end
from eng.dataset._loader_parts import dataset_of, worker_count

from ._limits import LimitedLoader

logger = logging.getLogger(__name__)

StreamState = dict[str, Any]
_PLAIN = (bool, int, float, str, bytes, type(None))
# A shuffle buffer of Hugging Face's datasets is not part of their state: its samples would be lost on a resume.
_BUFFER = "BufferShuffled"


def keeps_position(loader: object) -> bool:
    """Whether the position of ``loader`` can be saved by its own, or its dataset's, ``state_dict``."""
    return _stateful_part(loader) is not None


def capture_stream(loader: object, batches: object = None) -> StreamState | None:
    """The position of a loader that saves its own, as plain data that a safe loader reads back.

    Args:
        loader: a dataloader, of which as many batches were taken as the run has trained on.
        batches: the iterator that they were taken from.

    Returns:
        ``state``, with the class and the number of workers that it belongs to, and whether the last batch ended the stream,
        whose state is then that of the next pass; None where loader and dataset save none.
    """
    part = _stateful_part(loader)
    if part is None:
        return None
    state = part.state_dict()
    if state is None:
        return None
    try:
        plain = _plain(state)
    except TypeError as error:
        logger.warning(
            "The state of %s is not saved, as a checkpoint holds plain data and tensors only: %s",
            type(part).__name__,
            error,
        )
        return None
    # A batch that the end of the stream cut short: torch's loader met the end when it filled the batch.
    has_ended = part is not loader and has_met_end(batches)
    workers = worker_count(loader)
    return {"state": plain, "of": type(part).__name__, "num_workers": workers, "has_ended": has_ended}


def load_stream(loader: object, saved: StreamState | None) -> bool:
    """Puts a loader where :func:`capture_stream` saw it.

    Args:
        loader: a dataloader.
        saved: what was captured.

    Returns:
        Whether it is there now; not where nothing was saved, or by another class or number of workers.
    """
    part = _stateful_part(loader)
    if saved is None or part is None:
        return False
    ours = {"of": type(part).__name__, "num_workers": worker_count(loader)}
    if any(saved[name] != value for name, value in ours.items()):
        logger.warning(
            "The saved position belongs to %s with num_workers=%d and the run now has %s with num_workers=%d: it is not used",
            saved["of"], saved["num_workers"], ours["of"], ours["num_workers"],
        )  # fmt: skip
        return False
    part.load_state_dict(saved["state"])
    return True


def gives_empty_pass_at_end(loader: object) -> bool:
    """Whether a loader that took the state behind the last batch of a pass is empty once before the next pass.

    torchdata's loader is, as its state says that the end was not asked for; litdata's begins the next pass at once.
    """
    torchdata = sys.modules.get("torchdata.stateful_dataloader")
    return torchdata is not None and isinstance(loader, torchdata.StatefulDataLoader)


def _stateful_part(loader: object) -> Any:
    """The loader or, where it reads a stream in this process, its dataset, whichever has a state; else None."""
    if isinstance(loader, LimitedLoader):
        return _stateful_part(loader.loader)
    dataset = dataset_of(loader)
    if _has_buffer(getattr(dataset, "_ex_iterable", None)):
        return None
    if has_state(loader):
        return loader
    reads_here = isinstance(loader, DataLoader) and isinstance(dataset, IterableDataset) and not loader.num_workers
    if reads_here and has_state(dataset):
        return dataset
    return None


def has_state(part: object) -> bool:
    """Whether a loader or dataset has ``state_dict`` and ``load_state_dict``."""
    return all(callable(getattr(part, name, None)) for name in ("state_dict", "load_state_dict"))


def _has_buffer(examples: object) -> bool:
    """Whether a stream of Hugging Face's datasets, or one that it is made of, shuffles in a buffer."""
    if examples is None:
        return False
    sources = [getattr(examples, "ex_iterable", None), *(getattr(examples, "ex_iterables", None) or ())]
    return _BUFFER in type(examples).__name__ or any(map(_has_buffer, sources))


def _plain(value: object, path: str = "state") -> Any:
    """``value`` with numbers of numpy as Python's.

    Raises:
        TypeError: it holds an object that is neither plain data nor a tensor.
    """
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{path}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, list):
            return items
        return tuple(items)
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in _PLAIN or type(value) in (torch.Tensor, np.ndarray):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}")
