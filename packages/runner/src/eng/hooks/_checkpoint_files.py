"""The checkpoint files of one run, and the removal of those that are no longer wanted."""

from __future__ import annotations

import logging
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_BY_EPOCH, _BY_ITERATION = "epoch_{}.pth", "iter_{}.pth"
_FIELD = re.compile(r"\{[^{}]*\}")
_STOPPED = r"(interrupted|rollback)_iter_\d+\.pth"
# What torch's distributed checkpoints and eng write into the folder of a sharded checkpoint.
_SHARD = re.compile(r"\.metadata(\.tmp)?|common\.pth|__\d+_\d+\.distcp|\..+\.partial")


class RunFiles:
    """Checkpoints by their names in the folder of a run.

    Names that come out of a checkpoint are checked against the run's template: a file of another run, or of a stranger,
    may remember any path.

    Args:
        folder: of the run's checkpoints, on any storage.
        template: names of regular checkpoints, such as ``"epoch_{}.pth"``.
        backend_args: options of the storage.
    """

    def __init__(self, folder: str, template: str, backend_args: dict[str, Any] | None) -> None:
        self.folder = folder
        self.template = template
        self.backend_args = backend_args
        regular = _pattern_of(template)
        # An epoch may have several validations, so that its number would name several best checkpoints.
        self._within_epoch = _BY_ITERATION if template == _BY_EPOCH else _FIELD.sub("iter_{}", template)
        best = rf"best_[^/\\]+_({regular}|{_pattern_of(self._within_epoch)})"
        self._name = re.compile(rf"{regular}|{best}|{_STOPPED}")
        self._depth = template.count("/") + 1

    def path(self, name: str) -> str:
        """Where the checkpoint of a name lies."""
        from eng.fileio import join_path

        return str(join_path(self.folder, name, backend_args=self.backend_args))

    def regular(self, number: int) -> str:
        """Name of the regular checkpoint of an epoch or iteration."""
        return self.template.format(number)

    def best(self, key: str, number: int, *, within_epoch: bool = False) -> str:
        """Name of the best checkpoint by a metric.

        Args:
            key: the metric.
            number: epochs or iterations that are over, as regular checkpoints are numbered.
            within_epoch: whether an epoch is not over; ``number`` then counts iterations.
        """
        name = self._within_epoch.format(number) if within_epoch else self.regular(number)
        return f"best_{key.replace('/', '_')}_{name}"

    def name_of(self, remembered: Any) -> str | None:
        """The name in a path that was remembered; None where it is not a name of this run's."""
        if not isinstance(remembered, str):
            return None
        name = "/".join(remembered.replace("\\", "/").split("/")[-self._depth :])
        if self._name.fullmatch(name):
            return name
        return None

    def located(self, remembered: Any) -> str | None:
        """The path of a remembered checkpoint: in this run's folder where it is there, otherwise as it was remembered.

        A run that was moved, copied or forked remembers paths of before.
        """
        from eng.fileio import exists

        name = self.name_of(remembered)
        if name is None:
            return None
        path = self.path(name)
        if exists(path, backend_args=self.backend_args):
            return path
        return str(remembered)

    def remove(self, names: Iterable[str]) -> list[str]:
        """Removes checkpoints of this run and gives those that are gone; one that cannot be removed is only reported."""
        return [name for name in names if self._is_gone_after_removal(name)]

    def _is_gone_after_removal(self, name: str) -> bool:
        """Removes a checkpoint; False where it stays, with a warning."""
        if self.name_of(name) != name:
            logger.warning("%r is not the name of a checkpoint of this run: it is not removed", name)
            return False
        try:
            self._remove(self.path(name))
        except FileNotFoundError:
            logger.debug("The old checkpoint %s is gone already", name)
        except OSError as error:
            logger.warning("The old checkpoint %s stays: %s", self.path(name), error)
            return False
        return True

    def _remove(self, path: str) -> None:
        """Removes a checkpoint file, or a folder that holds nothing but a sharded checkpoint."""
        from eng.fileio import exists, isdir, remove, rmtree

        if not exists(path, backend_args=self.backend_args):
            raise FileNotFoundError(path)
        if not isdir(path, backend_args=self.backend_args):
            remove(path, backend_args=self.backend_args)
            return
        local = Path(path.removeprefix("file://"))
        foreign = []
        if local.is_dir():
            foreign = [entry.name for entry in local.iterdir() if not _SHARD.fullmatch(entry.name)]
        if foreign:
            raise OSError(f"the folder holds what is no part of a checkpoint: {foreign[0]}")
        rmtree(path, backend_args=self.backend_args)


def _pattern_of(template: str) -> str:
    """The regular expression of what a template gives for whole numbers."""
    parts = string.Formatter().parse(template)
    return "".join(re.escape(text) + (r" *-?\d+" if field is not None else "") for text, field, _, _ in parts)
