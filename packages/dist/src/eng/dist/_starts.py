"""A part of the job's store for one start of its processes.

torchrun's agent serves one store for all its restarts (torch 2.13), in which the addresses of processes that are gone
still stand: who reads one of them waits for a connection that is refused. Each start therefore has a part of its own,
whose name rank 0 makes up. A rank asks for it with a word that nobody used before, so that only a living rank 0 can
have answered. The count of restarts would not do: on several machines each agent counts its own.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

from eng.dist._stores import prefixed
from eng.dist.errors import CollectiveTimeoutError

_POLL_S = 0.01


def part_of_this_start(store: Any, rank: int, world_size: int, timeout: timedelta) -> Any:
    """The part of `store` that the ranks of this start share; all of them call it.

    Args:
        store: what the agent serves.
        rank: of this process.
        world_size: number of ranks.
        timeout: how long to wait for the others.

    Raises:
        CollectiveTimeoutError: a rank did not come in time.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    name = _give_name(store, world_size, deadline) if rank == 0 else _ask_for_name(store, rank, deadline)
    return prefixed(f"eng/start/{name}", store)


def _give_name(store: Any, world_size: int, deadline: float) -> str:
    name = uuid.uuid4().hex
    answered: dict[int, bytes] = {}
    missing = list(range(1, world_size))
    while missing:
        for rank in missing:
            # A request may be left from an earlier start: it is answered all the same, and the rank is waited for.
            if store.check([_ask(rank)]) and (request := store.get(_ask(rank))) != answered.get(rank):
                store.set(_answer(request.decode()), name)
                answered[rank] = request
        missing = [rank for rank in missing if not store.check([_heard(name, rank)])]
        _pause(missing, deadline)
    return name


def _ask_for_name(store: Any, rank: int, deadline: float) -> str:
    request = uuid.uuid4().hex
    store.set(_ask(rank), request)
    while not store.check([_answer(request)]):
        _pause([0], deadline)
    name: str = store.get(_answer(request)).decode()
    store.set(_heard(name, rank), "1")
    return name


def _pause(missing: list[int], deadline: float) -> None:
    if missing and time.monotonic() > deadline:
        raise CollectiveTimeoutError(f"ranks {missing} did not come to this start in time", missing)
    time.sleep(_POLL_S if missing else 0)


def _ask(rank: int) -> str:
    return f"eng/start/ask/{rank}"


def _answer(request: str) -> str:
    return f"eng/start/answer/{request}"


def _heard(name: str, rank: int) -> str:
    return f"eng/start/heard/{name}/{rank}"
