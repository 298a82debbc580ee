"""The ``meta`` of a run's checkpoint, and reading a checkpoint file."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from eng.checkpoint import CheckpointLoader
from eng.config import Config
from eng.logging._plain import NotPlainError, to_plain

MapLocation = str | torch.device | Mapping[str, str] | Callable[..., Any] | None
"""Device for the tensors of a checkpoint, as the argument ``map_location`` of :func:`torch.load`."""


class SaveCount:
    """The run to which a checkpoint belongs, and the number of checkpoints that this run has saved in all its launches.

    The newest checkpoint is the one with the greatest number. Times cannot tell: clocks are set back, differ between
    machines and change at the end of summer time.

    Attributes:
        run_id: random id that the first launch of a run creates and that resumed launches keep; two runs that resumed
            from the same checkpoint share the id.
        number: number of checkpoints saved so far.
    """

    def __init__(self) -> None:
        self.run_id = uuid.uuid4().hex
        self.number = 0

    def as_meta(self) -> dict[str, Any]:
        """Returns the entries of a checkpoint's ``meta``."""
        return {"run_id": self.run_id, "save_number": self.number, "time_ns": time.time_ns()}

    def go_on_from(self, meta: Mapping[str, Any]) -> None:
        """Takes over run id and number from a resumed checkpoint's ``meta``.

        A checkpoint of MMEngine has neither; this run then keeps its new id and counts from 0.
        """
        run_id, number = meta.get("run_id"), meta.get("save_number")
        if isinstance(run_id, str) and type(number) is int:
            # After a rollback to an earlier checkpoint of the same run, new checkpoints continue the numbering of the
            # discarded ones, so that no save number is used twice.
            if run_id == self.run_id:
                self.number = max(self.number, number)
            else:
                self.number = number
            self.run_id = run_id


def run_meta(
    position: Mapping[str, Any], cfg: Config, experiment_name: str, seed: int | None, metainfo: object, count: SaveCount
) -> dict[str, Any]:
    """Returns the ``meta`` of a checkpoint.

    Args:
        position: position of the training loop.
        cfg: config of the run.
        experiment_name: name of the run.
        seed: seed of the run.
        metainfo: metainfo of the training dataset; None if it has none.
        count: run id and number of saved checkpoints.
    """
    from ._version import __version__

    meta: dict[str, Any] = {
        "epoch": position["epoch"],
        "iter": position["iter"],
        "cfg": cfg.pretty_text,
        "seed": seed,
        "experiment_name": experiment_name,
        "time": time.strftime("%Y%m%d_%H%M%S", time.localtime()),
        "eng_version": __version__,
        **count.as_meta(),
    }
    if metainfo is None:
        return meta
    return {**meta, "dataset_meta": plain(metainfo)}


def plain(value: object) -> Any:
    """Converts a nested value so that ``torch.load(weights_only=True)`` can read it from a checkpoint.

    Arrays become tensors or lists, and objects of unknown classes become text.
    """
    if isinstance(value, Mapping):
        return {_plain_key(key): plain(item) for key, item in value.items()}
    for collection in (list, tuple, set):
        if isinstance(value, collection):
            return collection(plain(item) for item in value)
    try:
        return to_plain(value)
    except NotPlainError:
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        return str(value)


def _plain_key(key: object) -> Any:
    try:
        return to_plain(key)
    except NotPlainError:
        return str(key)


def read(filename: str, map_location: MapLocation) -> dict[str, Any]:
    """Reads a checkpoint file.

    Raises:
        FileNotFoundError: there is no such file.
        BrokenCheckpointError: the file is incomplete.
        UntrustedCheckpointError: the file holds objects other than tensors and plain data.
    """
    checkpoint: dict[str, Any] = CheckpointLoader.load_checkpoint(filename, map_location=map_location)
    return checkpoint
