"""Checkpoints that hold only the trained weights, for adapters on a base model that is stored elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import name_in_checkpoint

from .errors import ResumeError

KEY = "trainable_only"


def keep_trainable(model: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Removes the frozen weights from a checkpoint, and records a fingerprint of these weights in its ``meta``.

    Args:
        model: the model without its wrapper.
        checkpoint: the checkpoint, which is changed in place.
    """
    names = _changing(model)
    weights = checkpoint["state_dict"]
    frozen = {name: value for name, value in weights.items() if name not in names}
    checkpoint["state_dict"] = type(weights)((name, value) for name, value in weights.items() if name in names)
    checkpoint["meta"][KEY] = {"names": len(frozen), "fingerprint": fingerprint(frozen)}


def complete(checkpoint: dict[str, Any], weights: Mapping[str, Any], filename: str) -> None:
    """Adds the model's frozen weights to a checkpoint that holds only the trained weights.

    Args:
        checkpoint: the checkpoint, which is changed in place; a checkpoint with all weights remains unchanged.
        weights: weights of the model, under their names in checkpoints.
        filename: path of the checkpoint, for the message.

    Raises:
        ResumeError: the model's frozen weights are not those of the saved run.
    """
    saved = None
    if isinstance(checkpoint.get("meta"), Mapping):
        saved = checkpoint.get("meta", {}).get(KEY)
    if saved is None:
        return
    trained = checkpoint["state_dict"]
    base = {name: value for name, value in weights.items() if name not in trained}
    if len(base) != saved["names"] or fingerprint(base) != saved["fingerprint"]:
        raise ResumeError(
            f"{filename} holds the trained weights alone (save_trainable_only=True), and the model's {len(base)} other weights "
            f"are not the {saved['names']} that they were trained with: build the model from the same base"
        )
    checkpoint["state_dict"] = type(trained)({**base, **trained})


def fingerprint(weights: Mapping[str, Any]) -> str:
    """Returns a digest of names, shapes, types and values of weights, which is the same on every device."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        if isinstance(value, torch.Tensor):
            bits = value.detach().contiguous().reshape(-1).view(torch.uint8)
            # Each byte is weighted by its position modulo 251, so that most permutations change the sum. Integers have
            # no rounding errors, so that the sum is the same on every device.
            total = int((bits.long() * (torch.arange(bits.numel(), device=bits.device) % 251 + 1)).sum())
            digest.update(f"{name} {tuple(value.shape)} {value.dtype} {total}\n".encode())
    return digest.hexdigest()[:32]


def _changing(model: nn.Module) -> set[str]:
    """Returns the names of trainable parameters, and of running statistics that a forward pass in training updates."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for path, module in model.named_modules():
        if hasattr(module, "running_mean") and module.training:
            names |= {name for name, _ in module.named_buffers(prefix=path, recurse=False)}
    return {name_in_checkpoint(model, name) for name in names}
