"""The model from its config, and what is done to it before it trains."""

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
    """The config of a run's model with the run's ``data_preprocessor``, where it has none; a module as it is."""
    if data_preprocessor is None or not isinstance(model, Mapping):
        return model
    cfg = own_copy(model)
    cfg.setdefault("data_preprocessor", data_preprocessor)
    return cfg


def with_loss(model: object, loss: object) -> Any:
    """The run's model with the run's ``loss``: in its config where that has none, or around a module without steps."""
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
    """A model from its config; a module without steps gets those of :class:`eng.model.SupervisedModel`.

    Args:
        model: a module, or a config of one.

    Raises:
        TypeError: ``model`` is neither.
    """
    if isinstance(model, nn.Module):
        adapted: nn.Module = adapters.adapt(model)
        return adapted
    if not isinstance(model, Mapping):
        raise TypeError(f"model must be a torch.nn.Module or a config of one, got {type(model).__name__}")
    built: nn.Module = adapters.build_model(model)
    return built


def model_of_config(cfg: Mapping[str, Any]) -> nn.Module:
    """The model of a whole config as its run builds it: in its scope, with the ``loss`` and ``data_preprocessor`` beside it.

    Args:
        cfg: with the key ``model``.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        model = with_loss(cfg["model"], cfg.get("loss"))
        return build_model(with_data_preprocessor(model, cfg.get("data_preprocessor")))


def check_steps(model: nn.Module, modes: list[str]) -> None:
    """Makes sure that the model has the methods which the loops of ``modes`` call.

    Raises:
        ModelContractError: one is missing.
    """
    for mode in modes:
        if not callable(getattr(model, STEPS[mode], None)):
            raise ModelContractError(
                f"{type(model).__name__} has no {STEPS[mode]}(), which the {mode} loop calls; derive it from "
                "eng.model.BaseModel, whose steps call forward(..., mode='loss' | 'predict')"
            )
