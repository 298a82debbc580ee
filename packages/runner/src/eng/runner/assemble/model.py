"""Builds the model from its config, adds the data preprocessor and the loss, and checks its methods."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.model import adapters
from eng.registry import DefaultScope
from eng.runner.errors import ModelContractError

from .own_copy import own_copy

logger = logging.getLogger(__name__)

STEPS = {"train": "train_step", "val": "val_step", "test": "test_step"}


def with_data_preprocessor(model: object, data_preprocessor: object) -> Any:
    """Adds the Runner's ``data_preprocessor`` to a model config without this key; a module is returned unchanged."""
    if data_preprocessor is None or not isinstance(model, Mapping):
        return model
    cfg = own_copy(model)
    cfg.setdefault("data_preprocessor", data_preprocessor)
    return cfg


def with_loss(model: object, loss: object) -> Any:
    """Applies the Runner's setting ``loss``.

    A model config without the key ``loss`` gets this key; a module without ``train_step`` is wrapped in
    :class:`eng.model.SupervisedModel` with this loss.
    """
    if loss is None:
        return model
    if isinstance(model, nn.Module):
        return adapters.adapt(model, loss=loss)
    if not isinstance(model, Mapping):
        return model
    cfg = own_copy(model)
    if not adapters.takes_options(cfg.get("type")):
        logger.warning("loss=%r is not used: %r computes its own losses", loss, cfg.get("type"))
        return cfg
    cfg.setdefault("loss", loss)
    return cfg


def build_model(model: object) -> nn.Module:
    """Builds a model from its config; a module without ``train_step`` is wrapped in :class:`eng.model.SupervisedModel`.

    Args:
        model: a module, or the config of a module.

    Raises:
        TypeError: ``model`` is neither a module nor a config.
    """
    if isinstance(model, nn.Module):
        adapted: nn.Module = adapters.adapt(model)
        return adapted
    if not isinstance(model, Mapping):
        raise TypeError(f"model must be a torch.nn.Module or a config of one, got {type(model).__name__}")
    built: nn.Module = adapters.build_model(model)
    return built


def model_of_config(cfg: Mapping[str, Any]) -> nn.Module:
    """Builds the model of a complete config like a Runner: with the config's default scope, loss and data preprocessor.

    Args:
        cfg: the complete config, with the key ``model``.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        model = with_loss(cfg["model"], cfg.get("loss"))
        return build_model(with_data_preprocessor(model, cfg.get("data_preprocessor")))


def check_steps(model: nn.Module, modes: list[str]) -> None:
    """Checks that the model has the methods that the loops of ``modes`` call, such as ``train_step``.

    Raises:
        ModelContractError: a method is missing.
    """
    for mode in modes:
        if not callable(getattr(model, STEPS[mode], None)):
            raise ModelContractError(
                f"{type(model).__name__} has no {STEPS[mode]}(), which the {mode} loop calls; derive it from "
                "eng.model.BaseModel, whose steps call forward(..., mode='loss' | 'predict')"
            )
