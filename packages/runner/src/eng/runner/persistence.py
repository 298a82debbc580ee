"""The checkpoint of a run: what goes in, and how it is written."""

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
"""Device of the tensors that are read, as :func:`torch.load` takes it."""


class SaveCount:
    """Which run a checkpoint belongs to, and how many the run had saved, over all of its starts.

    The newest checkpoint is told by this number: clocks are set back, differ between machines and change at the end of
    summer time.

    Attributes:
        run_id: made at the first start of a run and carried on by resumed ones; forks share it with their origin.
        number: checkpoints saved so far.
    """

    def __init__(self) -> None:
        self.run_id = uuid.uuid4().hex
        self.number = 0

    def as_meta(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"run_id": self.run_id, "save_number": self.number, "time_ns": time.time_ns()}

    def go_on_from(self, meta: Mapping[str, Any]) -> None:
        """Counts on from a checkpoint; one that does not tell (of MMEngine, or an earlier eng) begins a run."""
        run_id, number = meta.get("run_id"), meta.get("save_number")
        if isinstance(run_id, str) and type(number) is int:
            # A run that goes back to an earlier checkpoint of its own has saved more since.
            if run_id == self.run_id:
                self.number = max(self.number, number)
            else:
                self.number = number
            self.run_id = run_id


def run_meta(
    position: Mapping[str, Any], cfg: Config, experiment_name: str, seed: int | None, metainfo: object, count: SaveCount
) -> dict[str, Any]:
    """What a checkpoint tells about the run beside its state.

    Args:
        position: where the run stands, from the training loop.
        cfg: config of the run.
        experiment_name: name of the run.
        seed: seed of the run.
        metainfo: of the dataset that is trained on; None where it has none.
        count: of the checkpoints of the run.
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
    """The same nested value in types that a plain ``torch.load`` reads: arrays become tensors, unknown objects text."""
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
    """A checkpoint as it lies in its file, with its tensors on a device.

    Raises:
        FileNotFoundError: there is no such file.
        BrokenCheckpointError: it is cut short.
        UntrustedCheckpointError: it holds more than data.
    """
    checkpoint: dict[str, Any] = CheckpointLoader.load_checkpoint(filename, map_location=map_location)
    return checkpoint
