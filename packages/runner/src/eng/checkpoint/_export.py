"""The weights of a checkpoint alone, for other programs."""

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
    """Writes the weights of a checkpoint into a file of their own; no model is needed for it.

    Args:
        source: a checkpoint file, the folder of a sharded checkpoint, or safetensors: a file or a folder. Of folders and
            safetensors one block of a tensor is in memory at a time.
        target: the new file.
        which: ``"stored"`` (default) takes ``state_dict`` as it is, which in a run with an EMAHook is the average.
            ``"averaged"`` takes the average and insists that there is one; ``"trained"`` takes the weights that the
            optimizer moved.
        safetensors: whether the file is in the safetensors format; None goes by the name ``.safetensors``. Otherwise it
            is torch's, with the weights under ``state_dict``.
        max_file_bytes: makes `target` a folder in Hugging Face's layout: safetensors files with at most so many bytes of
            tensors, and ``model.safetensors.index.json``. None (default) writes one file.
        weights: written in place of those in the checkpoint, such as the ones with its adapters merged.

    Returns:
        `target`.

    Raises:
        KeyError: there is no average in the checkpoint.
        BrokenCheckpointError: it is no checkpoint, or holds no weights.
        CheckpointWriteError: the file cannot be written; nothing is left under its name.
        ValueError: a tensor has a type that the safetensors format does not know.

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
    chosen = _chosen(checkpoint, which, os.fspath(source)) if weights is None else dict(weights)
    if max_file_bytes is not None:
        write_safetensors_folder(chosen, target, _short_meta(checkpoint), max_file_bytes)
    elif safetensors or (safetensors is None and target.suffix == ".safetensors"):
        write_safetensors(chosen, target, _short_meta(checkpoint))
    else:
        meta = dict(checkpoint.get("meta", {}))
        if weights is not None:
            meta.pop("trainable_only", None)  # `weights` holds the frozen parameters too
        write_checkpoint({"meta": meta, "state_dict": chosen}, target)
    return str(target)


def _chosen(checkpoint: Mapping[str, Any], which: Which, source: str) -> dict[str, Tensor]:
    """The weights of a checkpoint that `which` asks for: as stored, the average, or the trained ones behind an average."""
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
    # An EMAHook saves the average under `state_dict`, and the trained weights in its place.
    names = [key for key in average if isinstance(key, str) and key.startswith("module.")]
    trained = {key.removeprefix("module."): average[key] for key in names}
    return {key: trained.get(key, value) for key, value in stored.items()}


def _short_meta(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    stored = checkpoint.get("meta")
    meta = stored if isinstance(stored, Mapping) else {}
    return {key: str(meta[key]) for key in ("epoch", "iter", "experiment_name", "time") if key in meta}
