"""Merges the adapters of a PEFT checkpoint into the weights of the base model."""

from __future__ import annotations

import os
from typing import Any

from eng.checkpoint import load_state_dict
from eng.checkpoint._read import read_checkpoint
from eng.model.adapters import merged_model

from .assemble import model as models
from .environment import set_randomness
from .precision import convert_precision
from .spec import arguments_from_cfg
from .trainable_only import complete


def merged_weights(cfg: Any, source: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the weights of a base model with merged PEFT adapters, under the names of the base model.

    Args:
        cfg: config of the run that saved the checkpoint; its model is built, including the base model.
        source: the checkpoint, with all weights or only the trained weights (``save_trainable_only=True``).

    Raises:
        ResumeError: the checkpoint belongs to another base model.
        ModelTypeError: the model has no PEFT adapters.
        BrokenCheckpointError: the file is not intact.
    """
    arguments = arguments_from_cfg({"work_dir": ".", **cfg})
    seed = arguments["randomness"].get("seed")
    if seed is not None:  # A randomly initialised base model must get the same weights as in the run.
        set_randomness(seed, False, False)
    model = models.model_of_config({**arguments, "default_scope": arguments["default_scope"] or "eng"})
    convert_precision(model, arguments["precision"])
    checkpoint = read_checkpoint(os.fspath(source), map_location="cpu")
    complete(checkpoint, model.state_dict(), os.fspath(source))
    load_state_dict(model, checkpoint["state_dict"], strict=True)
    return dict(merged_model(model).state_dict())
