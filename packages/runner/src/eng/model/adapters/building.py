"""Build a model from its config, and wrap a model without ``train_step`` in a :class:`SupervisedModel`."""

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
"""Keys of a model's config that are passed to :class:`SupervisedModel`, unless the model's class has such arguments."""
_STEPS = ("train_step", "val_step", "test_step")


def build_model(model: Mapping[str, Any]) -> Any:
    """Builds a model that has the methods ``train_step``, ``val_step`` and ``test_step``, from its config.

    Args:
        model: config of a model. For a class without these methods it may contain ``loss``, ``inputs``, ``targets``,
            ``output`` and ``data_preprocessor``; see :class:`SupervisedModel`.

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
            # ConfigDict.copy keeps the class, so that a build error can name the config's file and line.
            if hasattr(cfg, "copy"):
                cfg = cfg.copy()
            else:
                cfg = dict(cfg)
            options = {name: cfg.pop(name) for name in names}
    return adapt(MODELS.build(cfg), **options)


def adapt(model: Any, **options: Any) -> Any:
    """Returns a model with ``train_step``, ``val_step`` or ``test_step`` as it is, else a :class:`SupervisedModel`.

    Args:
        model: any module.
        **options: arguments of :class:`SupervisedModel`.
    """
    if not isinstance(model, nn.Module) or any(callable(getattr(model, step, None)) for step in _STEPS):
        if options.get("loss") is not None:
            logger.warning("loss=%r is not used: %s has steps of its own", options["loss"], type(model).__name__)
        return model
    return SupervisedModel(model, **options)


def takes_options(model_type: Any) -> bool:
    """Whether a model's config may contain :data:`OPTIONS`: its type is known, and has none of the step methods."""
    if isinstance(model_type, str):
        if model_type.partition(".")[0] in PREFIXES:
            return True
        model_type = MODELS.in_current_scope().get(model_type)
    return callable(model_type) and not any(hasattr(model_type, step) for step in _STEPS)


def _named_arguments(model_type: Any) -> set[str]:
    """Returns the argument names in the signature of a model's class or function."""
    factory = model_type
    if isinstance(model_type, str):
        factory = MODELS.in_current_scope().get(model_type)
    if not callable(factory):
        return set()
    try:
        return set(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # A builtin function without a signature.
        return set()
