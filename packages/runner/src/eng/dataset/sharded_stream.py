"""ShardedStream: distributes the samples of a stream over all ranks and workers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from eng.dist import get_data_rank, get_data_world_size

_POSITION = "position"


class ShardedStream(IterableDataset[Any]):
    """Distributes an iterable dataset over n readers (all workers of all ranks): each reader yields every n-th sample.

    Each reader still reads the complete dataset and drops the samples of the other readers. So reading does not become
    faster; only collating and training are distributed. Iterable datasets of Hugging Face's ``datasets`` are split by
    a function of that library instead of this class; see :func:`shard_stream`.

    Args:
        dataset: an iterable that yields the same samples in the same order to each reader.

    Examples:
        >>> list(ShardedStream([1, 2, 3]))
        [1, 2, 3]
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        # Rank and world size are read in the constructor, in the training process: worker processes have no process
        # group.
        self.rank, self.world_size = get_data_rank(), get_data_world_size()
        self._position = self._start = 0
        if all(callable(getattr(dataset, name, None)) for name in ("state_dict", "load_state_dict")):
            self.state_dict, self.load_state_dict = self._state_dict, self._load_state_dict

    def __iter__(self) -> Iterator[Any]:
        """Yields this reader's share: every n-th sample of the dataset.

        n is the number of readers: the worker processes of all ranks, or the ranks if they have no worker processes.
        The first pass after a state was loaded counts the samples from the saved position, so that each reader yields
        the same samples as in an uninterrupted run.
        """
        readers, reader = self.world_size, self.rank
        worker = get_worker_info()
        if worker is not None:
            readers = self.world_size * worker.num_workers
            reader = self.rank * worker.num_workers + worker.id
        self._position, self._start = self._start, 0
        for sample in self.dataset:
            is_ours = self._position % readers == reader
            self._position += 1
            if is_ours:
                yield sample
        self._position = 0

    def set_epoch(self, epoch: int) -> None:
        """Calls ``set_epoch`` of the stream, if it has that method."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def _state_dict(self) -> dict[str, Any]:
        return {"stream": self.dataset.state_dict(), _POSITION: self._position}

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        self.dataset.load_state_dict(state["stream"])
        self._position = self._start = state[_POSITION]


def shard_stream(dataset: Any) -> Any:
    """Returns a stream that distributes its samples over ranks and workers.

    Args:
        dataset: the stream (an iterable dataset). A stream of Hugging Face's ``datasets`` is split by
            ``datasets.distributed.split_dataset_by_node``, unless it was split before. Streams of WebDataset and
            litData distribute their shards themselves, and are returned unchanged. Any other stream is wrapped in a
            :class:`ShardedStream`.
    """
    library = type(dataset).__module__.partition(".")[0]
    if library == "datasets":
        if get_data_world_size() == 1 or getattr(dataset, "_distributed", None) is not None:
            return dataset
        split_dataset_by_node = import_module("datasets.distributed").split_dataset_by_node
        return split_dataset_by_node(dataset, rank=get_data_rank(), world_size=get_data_world_size())
    if library in ("webdataset", "litdata"):
        return dataset
    return ShardedStream(dataset)
