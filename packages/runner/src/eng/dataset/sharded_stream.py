"""ShardedStream: a stream of which each rank and worker reads a part of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from eng.dist import get_data_rank, get_data_world_size

_POSITION = "position"


class ShardedStream(IterableDataset[Any]):
    """Every n-th sample of a stream, for n readers: all workers of all ranks. Each sample has one reader.

    Each reader still reads the complete stream and drops the samples of the others, so that reading costs what it cost
    before, and what comes behind (collating, training) is shared. A stream of Hugging Face's ``datasets`` is split by its own
    function in place of this class; see :func:`shard_stream`.

    Args:
        dataset: gives the same samples in the same order to each reader.

    Examples:
        >>> list(ShardedStream([1, 2, 3]))
        [1, 2, 3]
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        # A worker process has no process group to ask.
        self.rank, self.world_size = get_data_rank(), get_data_world_size()
        self._position = self._start = 0
        if all(callable(getattr(dataset, name, None)) for name in ("state_dict", "load_state_dict")):
            self.state_dict, self.load_state_dict = self._state_dict, self._load_state_dict

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        workers, number = (1, 0) if worker is None else (worker.num_workers, worker.id)
        readers, reader = self.world_size * workers, self.rank * workers + number
        self._position, self._start = self._start, 0
        for sample in self.dataset:
            is_ours = self._position % readers == reader
            self._position += 1
            if is_ours:
                yield sample
        self._position = 0

    def set_epoch(self, epoch: int) -> None:
        """Tells the stream the number of the pass, where it asks for it."""
        tell = getattr(self.dataset, "set_epoch", None)
        if tell is not None:
            tell(epoch)

    def _state_dict(self) -> dict[str, Any]:
        return {"stream": self.dataset.state_dict(), _POSITION: self._position}

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        self.dataset.load_state_dict(state["stream"])
        self._position = self._start = state[_POSITION]


def shard_stream(dataset: Any) -> Any:
    """A stream whose samples are shared out to ranks and workers.

    Args:
        dataset: a stream. One of ``datasets`` is split by ``datasets.distributed.split_dataset_by_node``, unless that was
            done already; WebDataset and litData share their shards out themselves and stay as they are.

    Returns:
        the stream itself, or one around it.
    """
    library = type(dataset).__module__.partition(".")[0]
    if library == "datasets":
        if get_data_world_size() == 1 or getattr(dataset, "_distributed", None) is not None:
            return dataset
        split_dataset_by_node = import_module("datasets.distributed").split_dataset_by_node
        return split_dataset_by_node(dataset, rank=get_data_rank(), world_size=get_data_world_size())
    return dataset if library in ("webdataset", "litdata") else ShardedStream(dataset)
