"""Whether a stream is shared out to the ranks and workers that read it."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from eng.dist import get_data_world_size

logger = logging.getLogger(__name__)

_RANK_NAMES = frozenset(
    {"rank", "num_replicas", "world_size", "local_rank", "get_rank", "get_world_size", "get_dist_info"}
)
# Libraries whose streams share themselves out to workers and, but for Hugging Face's, to ranks.
_LIBRARIES = ("datasets", "webdataset", "litdata")


def warn_of_repeated_stream(loader: Any) -> None:
    """Warns where each rank or worker would read all samples of a stream, as far as its code shows.

    Args:
        loader: a dataloader; one over a dataset with sample numbers is left alone.
    """
    dataset = getattr(loader, "dataset", None)
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
    repeats = [f"{ranks} ranks"] if ranks > 1 and not names & _RANK_NAMES else []
    repeats += [f"{workers} workers"] if workers > 1 and "get_worker_info" not in names else []
    if repeats:
        logger.warning(
            "%s does not ask which rank or worker it is read by: if it does not share its samples out, each sample comes once "
            "from each of %s. Write dataloader=dict(shard_stream=True, ...), or let it give every n-th sample, by "
            "torch.utils.data.get_worker_info() and eng.dist.get_rank()",
            type(dataset).__name__, " and each of ".join(repeats),
        )  # fmt: skip


def warn_of_stream_in_use(loader: Any, training_loader: Any, mode: str) -> None:
    """Warns where a validation or test reads the very stream that training reads, and the stream has a position.

    Args:
        loader: the dataloader of the validation or test.
        training_loader: the dataloader of training as it was given; the config of one builds a dataset of its own.
        mode: ``"val"`` or ``"test"``.
    """
    stream = getattr(loader, "dataset", None)
    if stream is None or stream is not getattr(training_loader, "dataset", None):
        return
    if isinstance(stream, IterableDataset) and callable(getattr(stream, "load_state_dict", None)):
        logger.warning(
            "%s_dataloader and train_dataloader read one object of %s, which has one position for both: after a resume the "
            "%s pass begins where training was, and samples are left out of both. Give each loader a stream of its own",
            mode, type(stream).__name__, {"val": "validation"}.get(mode, mode),
        )  # fmt: skip


def _names_in_code(cls: type) -> set[str]:
    """The names that the methods of a class use, those of torch's bases apart."""
    functions = [
        function
        for base in cls.__mro__
        if base.__module__.split(".")[0] not in ("torch", "typing", "builtins")
        for function in vars(base).values()
        if inspect.isfunction(function)
    ]
    return {name for function in functions for name in function.__code__.co_names}
