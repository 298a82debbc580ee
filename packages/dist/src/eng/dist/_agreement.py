"""Debug mode: before each collective, all ranks compare which collective they are about to call.

The comparison uses a key-value store instead of a collective, so that it also works when a collective would hang or
crash.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from eng.dist._callers import public_call
from eng.dist._communicator import GroupCommunicator
from eng.dist._group_store import open_group_store
from eng.dist._stores import prefixed
from eng.dist._watching import Watching, current_watch
from eng.dist.errors import CollectiveMismatchError, CollectiveTimeoutError

_FIRST_POLL_S, _LONGEST_POLL_S = 0.0005, 0.05
_LIMIT_S = 1800.0  # Seconds to wait for a rank; equal to torch's default timeout of a collective.


def check_enabled() -> bool:
    """Whether debug mode is enabled by the environment variable ``ENG_DIST_DEBUG=1``."""
    return os.environ.get("ENG_DIST_DEBUG", "0") not in {"", "0"}


class CheckedCommunicator:
    """A communicator that checks, before each collective, that all ranks call the same collective.

    Raises, from every collective:
        CollectiveMismatchError: raised on all ranks; the message lists the call and the line of each rank.
        CollectiveTimeoutError: a rank has ended, or did not call a collective within half an hour.
    """

    def __init__(self, plain: GroupCommunicator) -> None:
        self.plain = plain
        self.rank, self.size, self.device = plain.rank, plain.size, plain.device
        self.ranks: Sequence[int] = plain.ranks
        self.watch: Watching | None = current_watch()
        self._calls = 0
        self._store = self._shared_store()

    def all_reduce(self, data: Tensor, op: Any) -> None:
        self._compare_call(f"{_describe(data)}, op={str(op).rsplit('.', 1)[-1]}")
        self.plain.all_reduce(data, op)

    def all_gather(self, data: Tensor) -> list[Tensor]:
        self._compare_call(_describe(data))
        return self.plain.all_gather(data)

    def gather(self, data: Tensor, dst: int) -> list[Tensor]:
        self._compare_call(f"{_describe(data)}, dst={dst}")
        return self.plain.gather(data, dst)

    def broadcast(self, data: Tensor, src: int) -> None:
        self._compare_call(f"{_describe(data)}, src={src}")
        self.plain.broadcast(data, src)

    def send(self, data: Tensor, dst: int) -> None:
        # Not compared between ranks: collectives use `send` and `receive` only after an `all_gather` of sizes, which
        # has compared the calls of all ranks already.
        self.plain.send(data, dst)

    def receive(self, data: Tensor, src: int) -> None:
        self.plain.receive(data, src)

    def barrier(self) -> None:
        self._compare_call("")
        self.plain.barrier()

    def agree_on_parts(self, parts: Iterable[tuple[str, Tensor]]) -> None:
        """Checks that names, types and shapes of tensors are equal on all ranks, before they are reduced together.

        The tensors are joined into one flat tensor for the reduction. Comparing only the flat tensors of the ranks
        could miss a mismatch, because different lists of tensors can have the same total size.

        Args:
            parts: name and tensor of each part of the flat tensor.
        """
        self._compare_call(", ".join(f"{name}{_describe(tensor)}" for name, tensor in parts))

    def _shared_store(self) -> Any:
        group = self.plain.group
        assert group is not None  # A CheckedCommunicator is only created for an existing process group.
        if self.watch is None:
            return open_group_store(group)
        ranks = "-".join(map(str, self.ranks))
        return prefixed(f"calls/{group.group_name}/{ranks}", self.watch.store)

    def _compare_call(self, arguments: str) -> None:
        """Compares, between all ranks, the collective that this process is about to call.

        Each rank announces its call in the key-value store and reads the announcements of all ranks.

        Args:
            arguments: text of the arguments that must be equal on all ranks, such as type and shape of the tensor.

        Raises:
            CollectiveMismatchError: the ranks announce different calls.
            CollectiveTimeoutError: a rank announces no call in time, or has ended.
            PeerFailedError: the watch knows that another rank has failed.
        """
        name, where = public_call()
        self._calls += 1
        mine = json.dumps({"call": f"{name}({arguments})", "where": where})
        self._store.set(f"{self._calls}/{self.rank}", mine)
        calls = {rank: json.loads(self._announcement_of(rank, name, where)) for rank in range(self.size)}
        # A rank announces call N only after it has read the announcements of call N - 1 from all ranks. All ranks have
        # announced call N now, so nobody needs those of call N - 2 any more.
        if self._calls > 2:
            self._store.delete_key(f"{self._calls - 2}/{self.rank}")
        kinds = Counter(call["call"] for call in calls.values())
        if len(kinds) > 1:
            self._raise_mismatch(calls, kinds.most_common(1)[0])

    def _announcement_of(self, rank: int, name: str, where: str) -> str:
        """Waits for the announcement of a rank's current call and returns it as JSON text.

        Args:
            rank: rank in the group.
            name: name of the collective that this process is about to call, for messages.
            where: file and line of this call, for messages.

        Raises:
            CollectiveTimeoutError: the rank announces no call in time, or has ended.
            PeerFailedError: the watch knows that another rank has failed.
        """
        key, started, pause = f"{self._calls}/{rank}", time.monotonic(), _FIRST_POLL_S
        waiting = (f"{name}, before it, for rank {self.ranks[rank]}", started)
        while not self._store.check([key]):
            if self.watch is not None:
                self.watch.waiting = waiting
                self.watch.raise_if_failed()
            self._raise_if_gone(rank, name, where, time.monotonic() - started)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_POLL_S)
        if self.watch is not None:
            self.watch.waiting = None
        return str(self._store.get(key).decode())

    def _raise_if_gone(self, rank: int, name: str, where: str, waited_s: float) -> None:
        number = self.ranks[rank]
        has_left = self.watch is not None and self.watch.has_left(number)
        if has_left or waited_s > _LIMIT_S:
            why = "has left the run" if has_left else f"did not come within {_LIMIT_S:g} s"
            raise CollectiveTimeoutError(f"{name} at {where} waits for rank {number}, which {why}", [number])

    def _raise_mismatch(self, calls: dict[int, dict[str, str]], most: tuple[str, int]) -> None:
        """Raises the error for ranks that call different collectives.

        Args:
            calls: the announcement of each rank, by rank in the group.
            most: the most frequent call, and the number of ranks that announce it; ranks with another call are named in
                the message if this number is a majority.

        Raises:
            CollectiveMismatchError: always; the message names the call of each rank.
        """
        call_of_rank = {self.ranks[rank]: f"{call['call']} at {call['where']}" for rank, call in calls.items()}
        common, count = most
        differing = [self.ranks[rank] for rank, call in calls.items() if call["call"] != common]
        verdict = (
            f"rank {', '.join(map(str, differing))} differs from the others"
            if count > self.size / 2
            else "no call has a majority"
        )
        lines = "\n".join(f"  rank {rank}: {text}" for rank, text in call_of_rank.items())
        raise CollectiveMismatchError(
            f"ranks disagree on collective {self._calls}; {verdict}:\n{lines}", call_of_rank, differing
        )


def _describe(data: Tensor) -> str:
    return f"{str(data.dtype).removeprefix('torch.')} {list(data.shape)}"


__all__ = ["CheckedCommunicator", "check_enabled"]
