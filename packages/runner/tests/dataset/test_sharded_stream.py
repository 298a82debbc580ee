"""Each sample of a shared stream has one reader, on any number of ranks and workers, also after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch.utils.data import DataLoader, IterableDataset

from eng.dataset import ShardedStream, sharded_stream
from eng.runner.assemble.data import build_dataloader
from eng.runner.errors import SettingsError


class Count(IterableDataset):
    def __init__(self, stop: int) -> None:
        self.stop, self.next = stop, 0

    def __iter__(self) -> Iterator[int]:
        while self.next < self.stop:
            self.next += 1
            yield self.next - 1
        self.next = 0


class Stateful(Count):
    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


def on_rank(monkeypatch: pytest.MonkeyPatch, rank: int, ranks: int) -> None:
    monkeypatch.setattr(sharded_stream, "get_data_rank", lambda: rank)
    monkeypatch.setattr(sharded_stream, "get_data_world_size", lambda: ranks)


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (3, 0), (2, 2)])
def test_each_sample_has_one_reader(ranks: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for rank in range(ranks):
        on_rank(monkeypatch, rank, ranks)
        cfg = {"dataset": Count(11), "shard_stream": True, "batch_size": 1, "num_workers": workers}
        parts.append([number for batch in build_dataloader(cfg) for number in batch])
    assert sorted(number for part in parts for number in part) == list(range(11))
    assert max(map(len, parts)) - min(map(len, parts)) <= max(workers, 1)


@pytest.mark.parametrize("count", range(6))
def test_a_state_continues_behind_the_samples_that_were_given(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on_rank(monkeypatch, 1, 2)
    stream = ShardedStream(Stateful(11))
    iterator = iter(stream)
    first = [next(iterator) for _ in range(count)]
    resumed = ShardedStream(Stateful(11))
    resumed.load_state_dict(stream.state_dict())
    assert first + list(resumed) == [1, 3, 5, 7, 9]
    assert list(resumed) == [1, 3, 5, 7, 9]


def test_a_pass_that_was_left_does_not_move_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    on_rank(monkeypatch, 1, 2)
    stream = ShardedStream(range(6))
    assert next(iter(stream)) == 1
    assert list(stream) == [1, 3, 5]
    assert not hasattr(stream, "state_dict")  # there is none where the stream has none


def test_the_number_of_the_pass_is_handed_on() -> None:
    told: list[int] = []
    stream = Count(1)
    stream.set_epoch = told.append
    ShardedStream(stream).set_epoch(3)
    ShardedStream(Count(1)).set_epoch(3)
    assert told == [3]


@pytest.mark.parametrize("library", ["webdataset", "litdata"])
def test_streams_that_share_themselves_out_stay_as_they_are(library: str) -> None:
    stream: Any = type("Theirs", (Count,), {"__module__": f"{library}.pipeline"})(2)
    assert sharded_stream.shard_stream(stream) is stream


def test_a_dataset_with_sample_numbers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"shard_stream=True is for a stream, and list has sample numbers"):
        build_dataloader({"dataset": [1, 2], "shard_stream": True})


def test_a_ready_made_loader_takes_it_too() -> None:
    loader = DataLoader(ShardedStream(Count(6)), batch_size=3, num_workers=2)
    assert sorted(number for batch in loader for number in batch.tolist()) == list(range(6))
