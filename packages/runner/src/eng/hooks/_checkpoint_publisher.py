"""Small copies of checkpoints for users of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)


class Publisher:
    """Copies some entries of checkpoints; each copy's name ends with a part of its SHA-256.

    Args:
        keys: the entries.
        backend_args: options of the storage.
    """

    def __init__(self, keys: list[str], backend_args: dict[str, Any] | None) -> None:
        self.keys = keys
        self.backend_args = backend_args

    def publish(self, paths: Iterable[str], folder: str, run_logger: logging.Logger) -> None:
        """Makes the copies; a checkpoint that cannot be published is reported, as the training is done and saved.

        Args:
            paths: of the checkpoints.
            folder: of the copies.
            run_logger: takes a line for each copy.
        """
        for path in paths:
            self._publish(path, folder, run_logger)

    def _publish(self, path: str, folder: str, run_logger: logging.Logger) -> None:
        """Writes the published copy of one checkpoint; a warning where the checkpoint lacks a key or is gone."""
        from eng.checkpoint import publish_checkpoint

        try:
            copy = publish_checkpoint(path, self.keys, folder, backend_args=self.backend_args)
        except KeyError as error:
            logger.warning("Nothing is published: %s", error.args[0])
        except FileNotFoundError as error:  # the best checkpoint of a forked run lies in the folder of its origin
            logger.warning("Nothing is published of %s, which is not there any more: %s", path, error)
        else:
            run_logger.info("Published %s as %s with %s", path, copy, ", ".join(self.keys))
