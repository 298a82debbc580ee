"""Which checkpoints of a run stay, and which are removed once the next one is intact."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._checkpoint_files import RunFiles


class Retention:
    """The regular checkpoints of a run, oldest first, and the files that wait for their removal.

    A file is removed only after the next checkpoint is intact. That checkpoint holds the list of files to remove, so
    that a run which is killed before the removal makes up for it when it goes on.

    Args:
        limit: how many regular checkpoints to keep; 0 or less keeps all.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: list[int] = []
        self.stale: list[str] = []
        self.last_name: str | None = None
        self.interrupted: str | None = None
        self.newest_intact: str | None = None

    def add_regular(self, number: int, files: RunFiles, best: Collection[str]) -> str:
        """Takes in the regular checkpoint of an epoch or iteration, and expires those that it replaces.

        Args:
            number: of the epoch or iteration.
            files: names of the run's checkpoints.
            best: names of the best checkpoints, which stay.

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
        """Takes in the checkpoint of a stop; the next regular checkpoint replaces it."""
        if self.interrupted is None:
            expired = []
        else:
            expired = [self.interrupted]
        self.interrupted = name
        self._expire(expired, {name, *best}, files)

    def add_best(self, previous: str | None, files: RunFiles, best: Collection[str]) -> None:
        """Expires the best checkpoint that a better one replaces."""
        self._expire([] if previous is None else [previous], best, files)

    def remove(self, names: Sequence[str], files: RunFiles) -> None:
        """Removes files that were noted as stale."""
        for name in files.remove(names):
            if name in self.stale:
                self.stale.remove(name)

    def replace(self, names: Sequence[str], files: RunFiles, path: str, work_dir: str) -> None:
        """Makes the checkpoint at ``path``, which is intact, the newest of the run and removes stale ones.

        Args:
            names: the stale checkpoints.
            files: names of the run's checkpoints.
            path: of the intact checkpoint.
            work_dir: folder of the file that names the newest checkpoint.
        """
        from eng.checkpoint import write_pointer

        self.newest_intact = path
        write_pointer(work_dir, path)
        self.remove(names, files)

    def state_dict(self) -> dict[str, Any]:
        """Numbers of the kept checkpoints, and names of the stale, the last regular and the interrupted ones."""
        return {
            "kept": list(self.kept), "stale": list(self.stale), "last": self.last_name, "interrupted": self.interrupted,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any], files: RunFiles) -> None:
        """Takes a state in which only names of this run's checkpoints count, as a checkpoint may hold any text."""
        self.kept = [number for number in as_items(state.get("kept")) if type(number) is int]
        names = map(files.name_of, as_items(state.get("stale")))
        self.stale = [name for name in names if name is not None]
        self.last_name = files.name_of(state.get("last"))
        self.interrupted = files.name_of(state.get("interrupted"))

    def _push_out(self, number: int) -> list[int]:
        if self.limit <= 0:
            return []
        numbers = [*(old for old in self.kept if old != number), number]
        self.kept = numbers[-self.limit :]
        return numbers[: -self.limit]

    def _expire(self, names: Sequence[str], wanted: Collection[str], files: RunFiles) -> None:
        stays = {*wanted, *map(files.regular, self.kept)}
        self.stale = [name for name in dict.fromkeys([*self.stale, *names]) if name not in stays]


def retention_of_message_hub(info: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a :class:`Retention` in a checkpoint of MMEngine or of eng 1.0, which kept it in the message hub.

    Args:
        info: the ``runtime_info`` of the message hub.
    """
    names = {"kept": "keep_ckpt_ids", "stale": "stale_ckpts", "last": "last_ckpt", "interrupted": "interrupted_ckpt"}
    return {key: info.get(name) for key, name in names.items()}


def as_items(value: Any) -> list[Any]:
    """The items of a list or tuple; none of any other value."""
    if isinstance(value, list | tuple):
        return list(value)
    return []
