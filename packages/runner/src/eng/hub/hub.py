"""Configs and models that installed libraries ship, by ``library::path``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from eng.checkpoint import load_checkpoint
from eng.config import Config
from eng.registry import MODELS, DefaultScope

from .model_index import config_file, list_model_entries


def get_config(cfg_path: str, pretrained: bool = False) -> Config:
    """A config that an installed library ships.

    Args:
        cfg_path: ``"library::path"``, such as ``"mmpretrain::resnet/resnet18_8xb32_in1k.py"``; the path is relative to
            the library's ``configs``.
        pretrained: also give the published checkpoint of this config, as ``cfg.model_path``.

    Raises:
        ValueError: `cfg_path` has no ``::``, or no checkpoint is published for it.
        ModuleNotFoundError: the library is not installed.
        FileNotFoundError: it ships no such config.
    """
    package, relative = _split(cfg_path)
    cfg = Config.fromfile(config_file(package, relative))
    if pretrained:
        cfg.model_path = _published_weights(package, relative)
    return cfg


def get_model(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """A model of a config that an installed library ships, on the CPU.

    Args:
        cfg_path: as of `get_config`.
        pretrained: with the weights of the published checkpoint.
        **kwargs: for the model's constructor, beside what the config says.

    Raises:
        ValueError, ModuleNotFoundError, FileNotFoundError: as `get_config`.
    """
    package, _ = _split(cfg_path)
    cfg = get_config(cfg_path, pretrained)
    with DefaultScope.overwrite_default_scope(package):
        model: nn.Module = MODELS.build(cfg.model, default_args=kwargs)
    if pretrained:
        load_checkpoint(model, cfg.model_path, map_location="cpu")
    return model


def _split(cfg_path: str) -> tuple[str, str]:
    package, separator, relative = cfg_path.partition("::")
    if not separator or not package or not relative:
        raise ValueError(f"expected 'library::path/of/config.py', got {cfg_path!r}")
    return package, relative


def _published_weights(package: str, relative: str) -> str:
    wanted = Path(relative).with_suffix(".py").as_posix()
    for entry in list_model_entries(package):
        if entry.weights and entry.config.as_posix().endswith(f"configs/{wanted}"):
            return entry.weights
    raise ValueError(f"{package} publishes no checkpoint for {relative!r}: leave out pretrained=True")
