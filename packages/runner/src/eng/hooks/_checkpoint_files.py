"""Checkpoint files that are no longer wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)


def remove_checkpoints(paths: Iterable[str], backend_args: dict[str, Any] | None) -> None:
    """Removes checkpoints, files or folders; one that is gone already or cannot be removed is only reported."""
    from eng.fileio import isdir, remove, rmtree

    for path in paths:
        try:
            if isdir(path, backend_args=backend_args):
                rmtree(path, backend_args=backend_args)
            else:
                remove(path, backend_args=backend_args)
        except OSError as error:
            logger.warning("The old checkpoint %s stays: %s", path, error)
