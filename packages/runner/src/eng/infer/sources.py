"""Where an inferencer gets its config and its weights."""

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
    """The config of a model, and the path of its weights.

    Args:
        model: a config, the path of one, the name of a published model, or None for the config in the checkpoint.
        weights: path or URL of a checkpoint; a published model brings its own.
        by_name: gives config and weights of a published model.

    Raises:
        ValueError: neither a model nor weights, or a checkpoint without a config.
        UnsafeConfigError: the config in the checkpoint holds more than values.
        FileNotFoundError: `model` is the path of a config that does not exist.
        KeyError: no published model has this name.
        TypeError: `model` is something else.
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
        cfg, own_weights = by_name(str(model))
        return cfg, weights if weights is not None else own_weights
    if isinstance(model, Config):
        return copy.deepcopy(model), weights
    if isinstance(model, Mapping):
        return Config(copy.deepcopy(dict(model))), weights
    raise TypeError(f"model must be a config, the path of one, or a name, got {type(model).__name__}: {model!r}")


def published(name: str, scope: str) -> tuple[Config, str | None]:
    """Config and weights of a model that a library publishes.

    Args:
        name: of the model.
        scope: the library.

    Raises:
        KeyError: no such model; near names are given.
    """
    if scope == "eng":
        raise KeyError(
            f"there is no config file {name!r}, and a published model needs the library that publishes it: "
            "scope='mmpretrain', or mmpretrain's own inferencer"
        )
    entry = find_model(scope, name)
    return Config.fromfile(entry.config), entry.weights


def _config_in(weights: str) -> Config:
    """The config that a checkpoint holds, read without running code."""
    checkpoint = CheckpointLoader.load_checkpoint(weights, map_location="cpu")
    meta = checkpoint.get("meta", {}) if isinstance(checkpoint, Mapping) else {}
    text = meta.get("cfg") or meta.get("config")
    if not text:
        raise ValueError(f"the checkpoint {weights!r} holds no config (meta.cfg): give the model as well")
    # The text is of whoever wrote the checkpoint: it is read as data.
    cfg = Config.fromstring(text, ".py", trust=False) if isinstance(text, str) else Config(text)
    values = cfg.to_dict()  # imported names as dotted paths, which the registries vet when they build
    _check_plain(values, "")
    return Config(values)


def _check_plain(value: Any, path: str) -> None:
    """Makes sure that a config holds values alone.

    Raises:
        UnsafeConfigError: it names an object by an import.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _check_plain(item, path)
    elif not isinstance(value, str | bytes | int | float | complex | type(None)):
        raise UnsafeConfigError(f"{path} is a {type(value).__name__}: the config in a checkpoint holds values alone")
