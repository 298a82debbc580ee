from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from eng.dist import CollectiveTimeoutError
from eng.dist._starts import part_of_this_start


@pytest.mark.parametrize(("rank", "missing"), [(0, r"\[1\]"), (1, r"\[0\]")], ids=["first", "other"])
def test_a_rank_that_does_not_come_is_named(store: Any, rank: int, missing: str) -> None:
    with pytest.raises(CollectiveTimeoutError, match=f"ranks {missing} did not come"):
        part_of_this_start(store, rank, 2, timedelta(seconds=0.05))
