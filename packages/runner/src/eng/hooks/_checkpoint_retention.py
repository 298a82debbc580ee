"""Decides which checkpoints of a run are kept, and removes the others once the next checkpoint is intact."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._checkpoint_files import RunFiles


class Retention:
    """Tracks which regular checkpoints a run keeps, oldest first, and which stale checkpoints are to be deleted.

    A regular checkpoint is one that is saved at the end of an interval. A stale checkpoint is deleted only when the
    next checkpoint is completely written. The next checkpoint contains the list of stale checkpoints, so a run that is
    killed before the deletion deletes them after its resume.

    Args:
        limit: number of regular checkpoints to keep; 0 or less keeps all.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: list[int] = []
        self.stale: list[str] = []
        self.last_name: str | None = None
        self.interrupted: str | None = None
        self.newest_intact: str | None = None

    def add_regular(self, number: int, files: RunFiles, best: Collection[str]) -> str:
        """Adds the regular checkpoint of an epoch or iteration, and marks the checkpoints that it replaces as stale.

        Args:
            number: number of the epoch or iteration.
            files: the run's checkpoint files.
            best: names of the best checkpoints, which are never stale.

        Returns:
            The name of the checkpoint.
        """
        self.last_name = files.regular(number)
        expired = [files.regular(old) for old in self._push_out(number)]
        if self.interrupted is not None:
            expired.append(self.interrupted)
            self.interrupted = None
        self._expire(expired, {self.last_name, *best}, files)
        return self.last_name

    def add_interrupted(self, name: str, files: RunFiles, best: Collection[str]) -> None:
        """Adds a checkpoint that is saved between two regular ones, as by an interrupted run.

        The next regular checkpoint marks this checkpoint as stale.
        """
        if self.interrupted is None:
            expired = []
        else:
            expired = [self.interrupted]
        self.interrupted = name
        self._expire(expired, {name, *best}, files)

    def add_best(self, previous: str | None, files: RunFiles, best: Collection[str]) -> None:
        """Marks the checkpoint at ``previous``, the former best one of a metric, as stale."""
        expired = []
        if previous is not None:
            expired.append(previous)
        self._expire(expired, best, files)

    def remove(self, names: Sequence[str], files: RunFiles) -> None:
        """Deletes stale checkpoints. If a deletion fails, it is tried again after the next checkpoint."""
        for name in files.remove(names):
            if name in self.stale:
                self.stale.remove(name)

    def replace(self, names: Sequence[str], files: RunFiles, path: str, work_dir: str) -> None:
        """Records the intact checkpoint at ``path`` as the newest of the run, and then deletes stale checkpoints.

        Args:
            names: names of the stale checkpoints to delete.
            files: the run's checkpoint files.
            path: path of the intact checkpoint.
            work_dir: folder of the pointer file ``last_checkpoint``, which contains the path of the newest checkpoint.
        """
        from eng.checkpoint import write_pointer

        self.newest_intact = path
        write_pointer(work_dir, path)
        self.remove(names, files)

    def state_dict(self) -> dict[str, Any]:
        """Returns the numbers of the kept checkpoints, and the names of the stale, last and interrupted checkpoints."""
        return {
            "kept": list(self.kept), "stale": list(self.stale), "last": self.last_name, "interrupted": self.interrupted,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any], files: RunFiles) -> None:
        """Restores the state of a saved run.

        File names that this run cannot have written are left out, because a checkpoint may contain any text.
        """
        self.kept = [number for number in as_items(state.get("kept")) if type(number) is int]
        names = map(files.name_of, as_items(state.get("stale")))
        self.stale = [name for name in names if name is not None]
        self.last_name = files.name_of(state.get("last"))
        self.interrupted = files.name_of(state.get("interrupted"))

    def _push_out(self, number: int) -> list[int]:
        """Adds the number of a checkpoint to the kept numbers, and returns the oldest numbers beyond the limit."""
        if self.limit <= 0:
            return []
        numbers = [*(old for old in self.kept if old != number), number]
        self.kept = numbers[-self.limit :]
        return numbers[: -self.limit]

    def _expire(self, names: Sequence[str], wanted: Collection[str], files: RunFiles) -> None:
        """Marks the checkpoints ``names`` as stale, except for those in ``wanted`` and the kept regular checkpoints."""
        stays = {*wanted, *map(files.regular, self.kept)}
        self.stale = [name for name in dict.fromkeys([*self.stale, *names]) if name not in stays]


def retention_of_message_hub(info: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the state for :meth:`Retention.load_state_dict` from a checkpoint of MMEngine or eng 1.0.

    These versions stored the lists of kept and stale checkpoints in the message hub.

    Args:
        info: the ``runtime_info`` of the message hub.
    """
    names = {"kept": "keep_ckpt_ids", "stale": "stale_ckpts", "last": "last_ckpt", "interrupted": "interrupted_ckpt"}
    return {key: info.get(name) for key, name in names.items()}


def as_items(value: Any) -> list[Any]:
    """Returns a list or tuple as a list; any other value gives an empty list."""
    if isinstance(value, list | tuple):
        return list(value)
    return []
