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
# Names of the files that `torch.distributed.checkpoint` and eng write into the folder of a sharded checkpoint. A folder
# that contains any other file is not deleted.
_SHARD = re.compile(r"\.metadata(\.tmp)?|common\.pth|__\d+_\d+\.distcp|\..+\.partial")


class RunFiles:
    """Builds the names and paths of a run's checkpoint files, and deletes checkpoints.

    A checkpoint contains the names of older checkpoints that a resumed run deletes. A checkpoint of another run, or of
    an attacker, may contain any path, so only names that match the run's template are used.

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
        # If an epoch has several validations, the epoch's number does not tell them apart. The name of a best
        # checkpoint from inside an epoch therefore contains the iteration.
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
        """Returns the file name of the regular checkpoint of an epoch or iteration, such as ``epoch_3.pth``."""
        return self.template.format(number)

    def best(self, key: str, number: int, *, within_epoch: bool = False) -> str:
        """Returns the file name of the best checkpoint by a metric, such as ``best_accuracy_epoch_3.pth``.

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
        """Returns the file name at the end of ``remembered``, a path that was read from a checkpoint.

        Returns None if ``remembered`` is no text, or if this run writes no checkpoints with such a name.
        """
        if not isinstance(remembered, str):
            return None
        name = "/".join(remembered.replace("\\", "/").split("/")[-self._depth :])
        if self._name.fullmatch(name):
            return name
        return None

    def located(self, remembered: Any) -> str | None:
        """Returns the path of a checkpoint whose former path, ``remembered``, was read from another checkpoint.

        After a run was moved, copied or forked, its checkpoints contain paths in the former folder. The result is the
        path in this run's folder if the file exists there, otherwise the former path. None if this run writes no
        checkpoints with such a name.
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
        """Deletes checkpoints of this run, and returns the names of those that are gone; a failure logs a warning."""
        return [name for name in names if self._is_gone_after_removal(name)]

    def _is_gone_after_removal(self, name: str) -> bool:
        """Deletes a checkpoint. Returns True if the file is gone; otherwise logs a warning and returns False."""
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
        """Deletes a checkpoint file or the folder of a sharded checkpoint; a folder with other files raises OSError."""
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
