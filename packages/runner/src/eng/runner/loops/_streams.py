"""Saves and restores the position of dataloaders and streams that have ``state_dict()`` and ``load_state_dict()``."""

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
# Part of the class name of a shuffled stream of Hugging Face's datasets. The state of such a stream does not contain
# its shuffle buffer, so that a resumed run would lose the samples in the buffer.
_BUFFER = "BufferShuffled"


def keeps_position(loader: object) -> bool:
    """Whether the ``state_dict`` of a dataloader, or of its dataset, can save the position in the data."""
    return _stateful_part(loader) is not None


def capture_stream(loader: object, batches: object = None) -> StreamState | None:
    """Returns the position of a dataloader that has a ``state_dict``, as plain data.

    Plain data can be read from a checkpoint with ``torch.load(weights_only=True)``.

    Args:
        loader: a dataloader; the run must have trained on all batches that it has yielded.
        batches: the iterator of the dataloader that yielded these batches.

    Returns:
        A dict with ``state``, ``of`` (class name), ``num_workers``, and ``has_ended``: whether the last batch ended the
        stream, so that ``state`` belongs to the next pass. None if neither the dataloader nor its dataset has a state,
        or if the state contains other objects than plain data.
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
    # If the end of the stream cut the last batch short, torch's DataLoader has already seen the end, and the state of
    # the stream belongs to the next pass: a resumed run must then yield no further batch in this pass.
    has_ended = part is not loader and has_met_end(batches)
    workers = worker_count(loader)
    return {"state": plain, "of": type(part).__name__, "num_workers": workers, "has_ended": has_ended}


def load_stream(loader: object, saved: StreamState | None) -> bool:
    """Restores the position of a dataloader, or of the stream that the dataloader reads.

    Args:
        loader: a dataloader.
        saved: result of :func:`capture_stream`; None restores nothing.

    Returns:
        Whether the position was restored. A position is not used if it was saved by another class or with another
        number of workers.
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
    """Whether a dataloader yields one empty pass after loading a state that was saved after the last batch of a pass.

    StatefulDataLoader of torchdata does so, because its state does not record that the pass has ended. The dataloader
    of litdata begins the next pass at once.
    """
    torchdata = sys.modules.get("torchdata.stateful_dataloader")
    return torchdata is not None and isinstance(loader, torchdata.StatefulDataLoader)


def _stateful_part(loader: object) -> Any:
    """Returns the object whose ``state_dict`` gives the position of a dataloader.

    The object is the dataloader itself or, if the dataloader has no workers, the stream that it reads. None if neither
    has a ``state_dict``, or if the stream has a shuffle buffer.
    """
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
    """Whether a stream of Hugging Face's datasets, or a stream inside it, has a shuffle buffer."""
    if examples is None:
        return False
    sources = [getattr(examples, "ex_iterable", None), *(getattr(examples, "ex_iterables", None) or ())]
    return _BUFFER in type(examples).__name__ or any(map(_has_buffer, sources))


def _plain(value: object, path: str = "state") -> Any:
    """Copies a nested state, with NumPy numbers converted to Python numbers.

    Raises:
        TypeError: the state contains an object that is neither plain data nor a tensor nor a NumPy array.
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
