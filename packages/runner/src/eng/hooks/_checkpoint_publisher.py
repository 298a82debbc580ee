"""Publishes checkpoints: small copies, without optimizer state, for users of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)


class Publisher:
    """Writes small copies of checkpoints for users of the model, with selected entries such as the weights.

    The file name of each copy ends with a part of the copy's SHA-256.

    Args:
        keys: names of the checkpoint's entries to copy, such as ``"state_dict"``.
        backend_args: options of the storage.
    """

    def __init__(self, keys: list[str], backend_args: dict[str, Any] | None) -> None:
        self.keys = keys
        self.backend_args = backend_args

    def publish(self, paths: Iterable[str], folder: str, run_logger: logging.Logger) -> None:
        """Writes a copy of each checkpoint.

        A checkpoint that lacks a key, or whose file is missing, gives a warning and no error, because the training is
        complete.

        Args:
            paths: paths of the checkpoints to copy.
            folder: folder for the copies.
            run_logger: the run's logger, which logs a line per copy.
        """
        for path in paths:
            self._publish(path, folder, run_logger)

    def _publish(self, path: str, folder: str, run_logger: logging.Logger) -> None:
        """Writes the copy of one checkpoint, or warns if the checkpoint lacks a key or its file is missing."""
        from eng.checkpoint import publish_checkpoint

        try:
            copy = publish_checkpoint(path, self.keys, folder, backend_args=self.backend_args)
        except KeyError as error:
            logger.warning("Nothing is published: %s", error.args[0])
        except FileNotFoundError as error:
            # The best checkpoint of a forked run may lie in the folder of the original run, which can be deleted. So a
            # missing file is no error.
            logger.warning("Nothing is published of %s, which is not there any more: %s", path, error)
        else:
            run_logger.info("Published %s as %s with %s", path, copy, ", ".join(self.keys))
