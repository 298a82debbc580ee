from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from eng.dist._starts import part_of_this_start

LONG = timedelta(seconds=30)


def start(store: Any, ranks: int) -> list[Any]:
    """What each rank of a start gets; the ranks are threads."""
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(lambda rank: part_of_this_start(store, rank, ranks, LONG), range(ranks)))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_of_a_start_share_a_part(store: Any, ranks: int) -> None:
    parts = start(store, ranks)
    parts[-1].set("address", "here")
    assert all(part.get("address") == b"here" for part in parts)


def test_a_later_start_sees_nothing_of_an_earlier_one(store: Any) -> None:
    for part in start(store, 3):
        part.set("address", "gone")
    assert not any(part.check(["address"]) for part in start(store, 3))


def test_what_a_killed_rank_left_keeps_no_start_from_beginning(store: Any) -> None:
    store.set("eng/start/ask/1", "a word whose rank is gone")
    store.set("eng/start/ask/2", "another")
    first, *others = start(store, 3)
    first.set("address", "here")
    assert [part.get("address") for part in others] == [b"here", b"here"]
