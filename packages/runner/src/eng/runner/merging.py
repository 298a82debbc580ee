"""The weights of a checkpoint with adapters, merged into those of their base."""

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
    """The weights of a base model with the adapters of PEFT in a checkpoint merged, under the names of the base model.

    Args:
        cfg: config of the run that wrote the checkpoint; its model is built, the base included.
        source: the checkpoint, of all weights or of the trained ones alone (``save_trainable_only=True``).

    Raises:
        ResumeError: the checkpoint belongs to another base.
        ModelTypeError: the model has no adapters of PEFT.
        BrokenCheckpointError: the file is not intact.
    """
    arguments = arguments_from_cfg({"work_dir": ".", **cfg})
    seed = arguments["randomness"].get("seed")
    if seed is not None:  # a base that begins with random weights has those of the run
        set_randomness(seed, False, False)
    model = models.model_of_config({**arguments, "default_scope": arguments["default_scope"] or "eng"})
    convert_precision(model, arguments["precision"])
    checkpoint = read_checkpoint(os.fspath(source), map_location="cpu")
    complete(checkpoint, model.state_dict(), os.fspath(source))
    load_state_dict(model, checkpoint["state_dict"], strict=True)
    return dict(merged_model(model).state_dict())
