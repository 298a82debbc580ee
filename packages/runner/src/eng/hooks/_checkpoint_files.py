"""Names and paths of the checkpoint files of one run, and their removal."""

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
# Files that `torch.distributed.checkpoint` and eng write into the folder of a sharded checkpoint. A folder with any other
# file is not deleted.
_SHARD = re.compile(r"\.metadata(\.tmp)?|common\.pth|__\d+_\d+\.distcp|\..+\.partial")


class RunFiles:
    """Translates between names and paths of a run's checkpoints, and removes them.

    File names that are read from a checkpoint are checked against the run's template before they are used: a checkpoint
    from another run, or from an attacker, may contain any path, and stale files are deleted.

    Args:
        folder: folder of the run's checkpoints, on any storage.
        template: template of the names of regular checkpoints, such as ``"epoch_{}.pth"``.
        backend_args: options of the storage.
    """

    def __init__(self, folder: str, template: str, backend_args: dict[str, Any] | None) -> None:
        self.folder = folder
        self.template = template
        self.backend_args = backend_args
        regular = _pattern_of(template)
        # An epoch may have several validations, so their best checkpoints are named by the iteration instead.
        self._within_epoch = _FIELD.sub("iter_{}", template)
        if template == _BY_EPOCH:
            self._within_epoch = _BY_ITERATION
        best = rf"best_[^/\\]+_({regular}|{_pattern_of(self._within_epoch)})"
        self._name = re.compile(rf"{regular}|{best}|{_STOPPED}")
        self._depth = template.count("/") + 1

    def path(self, name: str) -> str:
        """Returns the path of the checkpoint with this name."""
        from eng.fileio import join_path

        return str(join_path(self.folder, name, backend_args=self.backend_args))

    def regular(self, number: int) -> str:
        """Returns the name of the regular checkpoint of an epoch or iteration."""
        return self.template.format(number)

    def best(self, key: str, number: int, *, within_epoch: bool = False) -> str:
        """Returns the name of the best checkpoint by a metric.

        Args:
            key: the metric.
            number: number of completed epochs or iterations, as in the name of a regular checkpoint.
            within_epoch: whether the validation ran inside an epoch; ``number`` then counts iterations.
        """
        name = self.regular(number)
        if within_epoch:
            name = self._within_epoch.format(number)
        return f"best_{key.replace('/', '_')}_{name}"

    def name_of(self, remembered: Any) -> str | None:
        """Returns the checkpoint name at the end of a remembered path; None if this run does not write such names."""
        if not isinstance(remembered, str):
            return None
        name = "/".join(remembered.replace("\\", "/").split("/")[-self._depth :])
        if self._name.fullmatch(name):
            return name
        return None

    def located(self, remembered: Any) -> str | None:
        """Returns the path of a remembered checkpoint; in this run's folder if it exists there.

        After a run was moved, copied or forked, its checkpoints contain paths in the former folder. None if the name is not
        one of this run's.
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
        """Removes checkpoints of this run and returns the names of the removed ones; a failed removal gives a warning."""
        return [name for name in names if self._is_gone_after_removal(name)]

    def _is_gone_after_removal(self, name: str) -> bool:
        """Removes a checkpoint; returns False, with a warning, if it could not be removed."""
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
        """Removes a checkpoint file, or a folder that contains only files of a sharded checkpoint."""
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
    """Returns the regular expression that matches a template filled with an integer."""
    pattern = ""
    for text, field, _, _ in string.Formatter().parse(template):
        pattern += re.escape(text)
        if field is not None:
            pattern += r" *-?\d+"
    return pattern
