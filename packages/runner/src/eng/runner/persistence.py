"""The checkpoint of a run: what goes in, and how it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from eng.checkpoint import CheckpointLoader, save_checkpoint

Write = Callable[[dict[str, Any], str, Callable[[], None]], None]


def run_meta(
    position: Mapping[str, Any], cfg: Any, experiment_name: str, seed: int | None, dataset: Any
) -> dict[str, Any]:
    """What a checkpoint tells about the run beside its state.

    Args:
        position: where the run stands, from the training loop.
        cfg: config of the run.
        experiment_name: name of the run.
        seed: seed of the run.
        dataset: what is trained on; its ``metainfo`` is noted.
    """
    from ._version import __version__

    meta: dict[str, Any] = {
        "epoch": position["epoch"],
        "iter": position["iter"],
        "cfg": getattr(cfg, "pretty_text", ""),
        "seed": seed,
        "experiment_name": experiment_name,
        "time": time.strftime("%Y%m%d_%H%M%S", time.localtime()),
        "eng_version": __version__,
    }
    metainfo = getattr(dataset, "metainfo", None)
    return meta if metainfo is None else {**meta, "dataset_meta": plain(metainfo)}


def plain(value: Any) -> Any:
    """The same nested value in types that a safe loader reads: what is none of them becomes its text."""
    import torch

    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else [plain(v) for v in value]
    if isinstance(value, (str, int, float, bool, bytes, type(None), torch.Tensor)):
        return value
    return value.item() if getattr(value, "shape", None) == () else str(value)


def write_checkpoint(
    checkpoint: dict[str, Any],
    path: str,
    backend_args: dict[str, Any] | None,
    write: Write | None,
    when_whole: Callable[[], None] | None,
) -> None:
    """Writes a checkpoint, or has it written, and then does what follows.

    Args:
        checkpoint: the content.
        path: where, on any storage.
        backend_args: options of the storage.
        write: writes beside training; None writes now.
        when_whole: called when the file is whole.
    """
    follow = when_whole or (lambda: None)
    if write is not None:
        write(checkpoint, path, follow)
        return
    save_checkpoint(checkpoint, path, backend_args=backend_args)
    follow()


def read(filename: str, map_location: Any) -> dict[str, Any]:
    """A checkpoint as it lies in its file, with its tensors on a device.

    Raises:
        FileNotFoundError: there is no such file.
        BrokenCheckpointError: it is cut short.
        UntrustedCheckpointError: it holds more than data.
    """
    checkpoint: dict[str, Any] = CheckpointLoader.load_checkpoint(filename, map_location=map_location)
    return checkpoint
