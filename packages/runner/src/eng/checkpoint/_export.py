"""Export the weights of a checkpoint, without the training state, for other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ._open import Tensor, open_checkpoint, tensors_in, write_checkpoint
from ._safetensors import write_safetensors, write_safetensors_folder
from .errors import BrokenCheckpointError

__all__ = ["export_weights"]

Which = Literal["stored", "averaged", "trained"]


def export_weights(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    which: Which = "stored",
    safetensors: bool | None = None,
    max_file_bytes: int | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> str:
    """Writes the weights of a checkpoint into a separate file, without building the model.

    Args:
        source: a checkpoint file, the folder of a sharded checkpoint, a safetensors file or a folder of safetensors
            files. Except for a checkpoint file, only one block of a tensor is in memory at a time.
        target: path of the new file.
        which: ``"stored"`` (default) exports the checkpoint's ``state_dict``. In a run with an EMAHook these are the
            averaged weights. ``"averaged"`` exports the averaged weights, and raises if the checkpoint has none.
            ``"trained"`` exports the weights that the optimizer updated, which are not averaged.
        safetensors: whether to write the safetensors format instead of the format of ``torch.save``, in which the
            weights are under ``state_dict``. None (default) writes safetensors if `target` ends in ``.safetensors``.
        max_file_bytes: makes `target` a folder in Hugging Face's layout: safetensors files with at most this many bytes
            of tensors each, and ``model.safetensors.index.json``. None (default) writes one file.
        weights: weights to write instead of those in the checkpoint, for example with merged adapters.

    Returns:
        the path `target`.

    Raises:
        KeyError: ``which`` asks for averaged or trained weights, and the checkpoint has no average.
        BrokenCheckpointError: `source` is no checkpoint, or holds no weights.
        CheckpointWriteError: the file cannot be written; no file is left under its name.
        ValueError: the safetensors format has no type for a tensor's dtype.

    Examples:
        >>> import tempfile, torch
        >>> from eng.checkpoint import save_checkpoint
        >>> folder = tempfile.mkdtemp()
        >>> save_checkpoint({"state_dict": {"weight": torch.ones(2)}, "optimizer": {}}, f"{folder}/a.pth")
        >>> sorted(torch.load(export_weights(f"{folder}/a.pth", f"{folder}/b.pth")))
        ['meta', 'state_dict']
    """
    target = Path(target)
    checkpoint = open_checkpoint(source, verify=True)
    if weights is None:
        chosen = _select_weights(checkpoint, which, os.fspath(source))
    else:
        chosen = dict(weights)
    if max_file_bytes is not None:
        write_safetensors_folder(chosen, target, _short_meta(checkpoint), max_file_bytes)
    elif safetensors or (safetensors is None and target.suffix == ".safetensors"):
        write_safetensors(chosen, target, _short_meta(checkpoint))
    else:
        meta = dict(checkpoint.get("meta", {}))
        if weights is not None:
            # A checkpoint without frozen parameters says so in its metadata. `weights` holds the frozen parameters too,
            # so the entry is removed.
            meta.pop("trainable_only", None)
        write_checkpoint({"meta": meta, "state_dict": chosen}, target)
    return str(target)


def _select_weights(checkpoint: Mapping[str, Any], which: Which, source: str) -> dict[str, Tensor]:
    """Returns the stored, averaged or trained weights of a checkpoint; see `which` of :func:`export_weights`."""
    stored = dict(tensors_in(checkpoint, source))
    if not stored:
        raise BrokenCheckpointError(source, "there are no weights in it")
    if which == "stored":
        return stored
    average = checkpoint.get("ema_state_dict")
    if not isinstance(average, Mapping):
        raise KeyError(
            f"{source} holds no averaged weights (no ema_state_dict): it was saved without an EMAHook; "
            "leave the choice out to take the weights that are there"
        )
    if which == "averaged":
        return stored
    # EMAHook swaps the averaged and the trained weights in a checkpoint: the averaged weights are under `state_dict`,
    # the trained weights under `ema_state_dict`.
    names = [key for key in average if isinstance(key, str) and key.startswith("module.")]
    trained = {key.removeprefix("module."): average[key] for key in names}
    return {key: trained.get(key, value) for key, value in stored.items()}


def _short_meta(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    meta = checkpoint.get("meta")
    if not isinstance(meta, Mapping):
        return {}
    return {key: str(meta[key]) for key in ("epoch", "iter", "experiment_name", "time") if key in meta}
