"""Building a model from its config, and giving it steps where it has none."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.registry import MODELS

from .libraries import PREFIXES, by_prefix
from .supervised import SupervisedModel

logger = logging.getLogger(__name__)
OPTIONS = ("loss", "inputs", "targets", "output")
"""Keys of a model's config that are for :class:`SupervisedModel`, where the model's class does not take them itself."""
_STEPS = ("train_step", "val_step", "test_step")


def build_model(model: Mapping[str, Any]) -> Any:
    """A model from its config, with the steps that a loop calls.

    Args:
        model: config of a model. For one without steps it may hold ``loss``, ``inputs``, ``targets`` and ``output``, and
            a ``data_preprocessor``; see :class:`SupervisedModel`.

    Examples:
        >>> build_model(dict(type="torch.nn.Linear", in_features=2, out_features=1, loss="MSELoss")).network
        Linear(in_features=2, out_features=1, bias=True)
    """
    cfg: Any = by_prefix(model)
    options: dict[str, Any] = {}
    if takes_options(cfg.get("type")):
        claimed = _named_arguments(cfg.get("type"))
        names = [name for name in (*OPTIONS, "data_preprocessor") if name in cfg and name not in claimed]
        if names:
            cfg = cfg.copy() if hasattr(cfg, "copy") else dict(cfg)
            options = {name: cfg.pop(name) for name in names}
    return adapt(MODELS.build(cfg), **options)


def adapt(model: Any, **options: Any) -> Any:
    """A model with the steps that a loop calls: the model itself where it has one of them, or a :class:`SupervisedModel`.

    Args:
        model: any module.
        **options: of :class:`SupervisedModel`.
    """
    if not isinstance(model, nn.Module) or any(callable(getattr(model, step, None)) for step in _STEPS):
        if options.get("loss") is not None:
            logger.warning("loss=%r is not used: %s has steps of its own", options["loss"], type(model).__name__)
        return model
    return SupervisedModel(model, **options)


def takes_options(model_type: Any) -> bool:
    """Whether a model's config may hold :data:`OPTIONS`: its type is known, and has no steps itself."""
    if isinstance(model_type, str):
        if model_type.partition(".")[0] in PREFIXES:
            return True
        model_type = MODELS.in_current_scope().get(model_type)
    return callable(model_type) and not any(hasattr(model_type, step) for step in _STEPS)


def _named_arguments(model_type: Any) -> set[str]:
    """Arguments that a class or function names itself, without those that ``**kwargs`` may take."""
    factory = MODELS.in_current_scope().get(model_type) if isinstance(model_type, str) else model_type
    try:
        return set(inspect.signature(factory).parameters) if callable(factory) else set()
    except (TypeError, ValueError):  # a builtin that does not tell
        return set()
