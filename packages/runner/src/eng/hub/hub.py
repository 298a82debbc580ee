"""Load configs and models that are part of installed libraries, by ``library::path``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from eng.checkpoint import load_checkpoint
from eng.config import Config
from eng.registry import MODELS, DefaultScope

from .model_index import config_file, list_model_entries


def get_config(cfg_path: str, pretrained: bool = False) -> Config:
    """Loads a config that is part of an installed library.

    Args:
        cfg_path: ``"library::path"``, such as ``"mmpretrain::resnet/resnet18_8xb32_in1k.py"``; the path is relative to
            the library's folder ``configs``.
        pretrained: whether to add the address of the config's published checkpoint as ``cfg.model_path``.

    Raises:
        ValueError: `cfg_path` has no ``::``, or no checkpoint is published for this config.
        ModuleNotFoundError: the library is not installed.
        FileNotFoundError: the library has no such config.
    """
    package, relative = _split(cfg_path)
    cfg = Config.fromfile(config_file(package, relative))
    if pretrained:
        cfg.model_path = _published_weights(package, relative)
    return cfg


def get_model(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Builds the model of a config that is part of an installed library, on the CPU.

    Args:
        cfg_path: see :func:`get_config`.
        pretrained: whether to load the weights of the published checkpoint.
        **kwargs: further arguments of the model's constructor; arguments in the config take precedence.

    Raises:
        ValueError, ModuleNotFoundError, FileNotFoundError: see :func:`get_config`.
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
