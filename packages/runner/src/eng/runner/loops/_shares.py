"""Warns if ranks or workers that read a stream would read the same samples."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from eng.dataset import ShardedStream
from eng.dataset._loader_parts import dataset_of, worker_count
from eng.dist import get_data_world_size
from eng.logging.words import counted

logger = logging.getLogger(__name__)

_RANK_NAMES = frozenset(
    {"rank", "num_replicas", "world_size", "local_rank", "get_rank", "get_world_size", "get_dist_info"}
)
# Streams of these libraries give each worker its own samples and, except for Hugging Face's datasets, each rank too.
_LIBRARIES = ("datasets", "webdataset", "litdata")


def warn_of_repeated_stream(loader: object) -> None:
    """Warns if several ranks or workers read a stream whose code never asks for its rank or worker number.

    Each rank or worker would then read all samples of the stream.

    Args:
        loader: a dataloader; there is no warning for a dataset with indices.
    """
    dataset = dataset_of(loader)
    if not isinstance(loader, DataLoader) or not isinstance(dataset, IterableDataset):
        return
    ranks, workers, library = get_data_world_size(), loader.num_workers, type(dataset).__module__.split(".")[0]
    if library in _LIBRARIES:
        if library == "datasets" and ranks > 1 and getattr(dataset, "_distributed", None) is None:
            logger.warning(
                "A stream of Hugging Face's datasets gives all samples on each of %d ranks: write "
                "dataloader=dict(shard_stream=True, ...), or give "
                "datasets.distributed.split_dataset_by_node(dataset, rank=..., world_size=...)", ranks,
            )  # fmt: skip
        return
    names = _names_in_code(type(dataset)) | set(vars(dataset))
    repeats = []
    if ranks > 1 and not names & _RANK_NAMES:
        repeats = [f"{ranks} ranks"]
    if workers > 1 and "get_worker_info" not in names:
        repeats += [f"{workers} workers"]
    if repeats:
        logger.warning(
            "%s does not ask which rank or worker it is read by: if it does not share its samples out, each sample comes once "
            "from each of %s. Write dataloader=dict(shard_stream=True, ...), or let it give every n-th sample, by "
            "torch.utils.data.get_worker_info() and eng.dist.get_rank()",
            type(dataset).__name__, " and each of ".join(repeats),
        )  # fmt: skip


def readers_of(loader: object) -> list[int]:
    """Returns two numbers: ranks that read different data, and workers on each rank.

    A checkpoint stores both, so that a resumed run notices a change.
    """
    return [get_data_world_size(), worker_count(loader)]


def tells_other_readers(loader: object, position: Mapping[str, Any]) -> bool:
    """Warns if a stream is resumed inside a pass with another number of ranks or workers.

    Args:
        loader: the training dataloader.
        position: the position in the checkpoint.

    Returns:
        Whether the numbers differ, so that the saved positions of the readers cannot be used. The pass then continues
        after as many samples as the saved run had consumed.
    """
    saved, now = position.get("readers"), readers_of(loader)
    is_stream = isinstance(dataset_of(loader), IterableDataset)
    if not is_stream or saved is None or list(saved) == now or not position["samples"]:
        return False
    text = "The stream was read by %s in the saved run and is now read by %s: the pass continues behind its first %d samples"
    if not _is_prefix(loader, position, now):
        text += (
            ". They are not exactly those that the saved run consumed, so some samples of this pass come twice and others are "
            "left out; resume with as many ranks and workers, or begin a new pass with load_from and resume=False"
        )
    logger.warning(text, _in_words(saved), _in_words(now), position["samples"])
    return True


def _is_prefix(loader: Any, position: Mapping[str, Any], now: list[int]) -> bool:
    """Whether the samples that the saved run consumed are exactly the samples that this run skips.

    Both are then the first samples of the stream, in spite of another number of ranks or workers.
    """
    if not isinstance(loader.dataset, ShardedStream):
        return False
    batches, remainder = divmod(position["samples"], (loader.batch_size or 1) * now[0])
    return not (remainder or position["batch"] % max(position["readers"][1], 1) or batches % max(now[1], 1))


def _in_words(readers: Sequence[int]) -> str:
    """Returns a text such as ``"2 ranks with 4 workers each"`` for the result of :func:`readers_of`."""
    ranks, workers = readers
    text = counted(ranks, "rank")
    if workers:
        return f"{text} with {counted(workers, 'worker')} each"
    return text


def warn_of_stream_in_use(loader: object, training_loader: object, mode: str) -> None:
    """Warns if a validation or test reads the same stream object as training, and the stream has ``load_state_dict``.

    Args:
        loader: the dataloader of the validation or test.
        training_loader: the Runner's ``train_dataloader``. If it is a config, there is no warning: each config builds a
            dataset of its own.
        mode: ``"val"`` or ``"test"``.
    """
    stream = dataset_of(loader)
    if stream is None or stream is not dataset_of(training_loader):
        return
    if isinstance(stream, IterableDataset) and callable(getattr(stream, "load_state_dict", None)):
        logger.warning(
            "%s_dataloader and train_dataloader read one object of %s, which has one position for both: after a resume the "
            "%s pass begins where training was, and samples are left out of both. Give each loader a stream of its own",
            mode, type(stream).__name__, {"val": "validation"}.get(mode, mode),
        )  # fmt: skip


def _names_in_code(cls: type) -> set[str]:
    """Returns the names of globals, functions and attributes that a class uses, without those of its torch bases."""
    functions = [
        function
        for base in cls.__mro__
        if base.__module__.split(".")[0] not in ("torch", "typing", "builtins")
        for function in vars(base).values()
        if inspect.isfunction(function)
    ]
    return {name for function in functions for name in function.__code__.co_names}
