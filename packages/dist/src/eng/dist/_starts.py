"""Separates the entries of the job's store by launch (the first launch and each restart of the workers).

torchrun's agent serves one store for all restarts (torch 2.13). The store still contains addresses of processes of
earlier launches, and a rank that reads such an address tries in vain to connect. Each launch therefore uses a prefix
with a random name that rank 0 chooses. Every other rank writes a request with a random id and waits for the answer to
this request, which only rank 0 of the same launch can give. The number of the restart cannot be used as the prefix,
because on several machines each agent counts its own restarts.
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
    """Returns a view of torchrun's store that contains only entries of the current launch; all ranks must call it.

    torchrun serves the same store again after it has restarted the workers. The view adds a prefix to every key that is
    new for each restart, so that ranks do not read entries of their predecessors.

    Args:
        store: the key-value store of torchrun's agent.
        rank: rank of this process.
        world_size: number of ranks.
        timeout: how long to wait for the other ranks.

    Raises:
        CollectiveTimeoutError: a rank did not connect in time.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    name = _give_name(store, world_size, deadline) if rank == 0 else _ask_for_name(store, rank, deadline)
    return prefixed(f"eng/start/{name}", store)


def _give_name(store: Any, world_size: int, deadline: float) -> str:
    """Makes a random name that identifies this launch of all ranks; returns the name when all ranks have confirmed it.

    Only rank 0 calls this function. Each other rank writes a request into the store, rank 0 answers the request with
    the name, and the other rank confirms that it has read the name.
    """
    name = uuid.uuid4().hex
    answered: dict[int, bytes] = {}
    missing = list(range(1, world_size))
    while missing:
        for rank in missing:
            # The request may come from an earlier process of `rank`, from before torchrun restarted the workers.
            # Answering it is harmless; the loop continues until the present process of `rank` has confirmed that it
            # read the name of this launch.
            if store.check([_ask(rank)]) and (request := store.get(_ask(rank))) != answered.get(rank):
                store.set(_answer(request.decode()), name)
                answered[rank] = request
        missing = [rank for rank in missing if not store.check([_heard(name, rank)])]
        _pause(missing, deadline)
    return name


def _ask_for_name(store: Any, rank: int, deadline: float) -> str:
    """Asks rank 0 for the name of this launch and returns it; every rank except rank 0 calls this function.

    Raises:
        CollectiveTimeoutError: rank 0 does not answer before `deadline`.
    """
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
