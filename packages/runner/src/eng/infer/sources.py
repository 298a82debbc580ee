"""Find the config and the weights of an inferencer's model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eng.checkpoint import CheckpointLoader
from eng.config import Config, ConfigDict
from eng.config.errors import UnsafeConfigError
from eng.hub import find_model

ModelType = dict[str, Any] | Config | ConfigDict | str

CONFIG_SUFFIXES = (".py", ".json", ".yaml", ".yml")


def config_and_weights(
    model: ModelType | Path | None, weights: str | None, by_name: Callable[[str], tuple[Config, str | None]]
) -> tuple[Config, str | None]:
    """Returns the config of a model, and the path or URL of its weights.

    Args:
        model: a config, the path of a config, the name of a published model, or None for the config in the checkpoint.
        weights: path or URL of a checkpoint; None takes the checkpoint of a published model.
        by_name: function that returns config and weights of a published model; called with the model's name.

    Raises:
        ValueError: there is neither a model nor weights, or the checkpoint has no config.
        UnsafeConfigError: the config in the checkpoint contains objects other than plain values.
        FileNotFoundError: `model` is the path of a config that does not exist.
        KeyError: no published model has this name.
        TypeError: `model` has another type.
    """
    if model is None:
        if weights is None:
            raise ValueError(
                "give a model (a config, its path, or a published name), or weights that hold their config"
            )
        return _config_in(weights), weights
    if isinstance(model, str | Path):
        if str(model).endswith(CONFIG_SUFFIXES) or Path(model).is_file():
            return Config.fromfile(model), weights
        cfg, published_weights = by_name(str(model))
        if weights is None:
            weights = published_weights
        return cfg, weights
    if isinstance(model, Config):
        return copy.deepcopy(model), weights
    if isinstance(model, Mapping):
        return Config(copy.deepcopy(dict(model))), weights
    raise TypeError(f"model must be a config, the path of one, or a name, got {type(model).__name__}: {model!r}")


def published(name: str, scope: str) -> tuple[Config, str | None]:
    """Returns the config, and the path or URL of the weights, of a model that a library publishes.

    Args:
        name: name of the model.
        scope: import name of the library.

    Raises:
        KeyError: the library publishes no such model; the message suggests similar names.
    """
    if scope == "eng":
        raise KeyError(
            f"there is no config file {name!r}, and a published model needs the library that publishes it: "
            "scope='mmpretrain', or mmpretrain's own inferencer"
        )
    entry = find_model(scope, name)
    return Config.fromfile(entry.config), entry.weights


def _config_in(weights: str) -> Config:
    """Returns the config that a checkpoint holds in its metadata; no code in the config runs.

    Raises:
        ValueError: the checkpoint holds no config.
    """
    checkpoint = CheckpointLoader.load_checkpoint(weights, map_location="cpu")
    meta: Mapping[str, Any] = {}
    if isinstance(checkpoint, Mapping):
        meta = checkpoint.get("meta", {})
    stored = meta.get("cfg") or meta.get("config")
    if not stored:
        raise ValueError(f"the checkpoint {weights!r} holds no config (meta.cfg): give the model as well")
    if isinstance(stored, str):
        # The config is Python source text. The author of the checkpoint may not be trusted, so the text is parsed
        # without running it.
        cfg = Config.fromstring(stored, ".py", trust=False)
    else:
        cfg = Config(stored)
    # to_dict() converts imported classes and functions to dotted paths as text. The registries check these paths when
    # they build an object.
    values = cfg.to_dict()
    _check_plain(values, "")
    return Config(values)


def _check_plain(value: Any, path: str) -> None:
    """Checks that a config contains only plain values.

    Raises:
        UnsafeConfigError: the config contains another object, such as an imported class.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _check_plain(item, path)
    elif not isinstance(value, str | bytes | int | float | complex | type(None)):
        raise UnsafeConfigError(f"{path} is a {type(value).__name__}: the config in a checkpoint holds values alone")
