"""Where an inferencer gets its config and its weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eng.checkpoint import CheckpointLoader
from eng.config import Config, ConfigDict
from eng.hub import find_model

ModelType = dict[str, Any] | Config | ConfigDict | str


def config_and_weights(model: ModelType | None, weights: str | None, scope: str) -> tuple[Config, str | None]:
    """The config of a model, and the path of its weights.

    Args:
        model: a config, the path of one, the name of a published model, or None for the config in the checkpoint.
        weights: path or URL of a checkpoint; a published model brings its own.
        scope: library whose published models are meant.

    Raises:
        ValueError: neither a model nor weights, or a checkpoint without a config.
        KeyError: no published model has this name.
        TypeError: `model` is something else.
    """
    if model is None:
        if weights is None:
            raise ValueError(
                "give a model (a config, its path, or a published name), or weights that hold their config"
            )
        return _config_in(weights), weights
    if isinstance(model, (str, Path)):
        if Path(model).is_file():
            return Config.fromfile(model), weights
        entry = find_model(scope, str(model))
        return Config.fromfile(entry.config), weights if weights is not None else entry.weights
    if isinstance(model, Config):
        return copy.deepcopy(model), weights
    if isinstance(model, Mapping):
        return Config(copy.deepcopy(dict(model))), weights
    raise TypeError(f"model must be a config, a path or a name, got {type(model).__name__}")


def _config_in(weights: str) -> Config:
    text = CheckpointLoader.load_checkpoint(weights, map_location="cpu").get("meta", {}).get("cfg")
    if not text:
        raise ValueError(f"the checkpoint {weights!r} holds no config (meta.cfg): give the model as well")
    return Config.fromstring(text, ".py") if isinstance(text, str) else Config(text)
