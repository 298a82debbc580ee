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
    """Builds a model from its config, so that it has the methods ``train_step``, ``val_step`` and ``test_step``.

    Args:
        model: config of a model. If the class of the model has none of these methods, the built model is wrapped in a
            :class:`SupervisedModel`, and the config may contain the SupervisedModel's arguments ``loss``, ``inputs``,
            ``targets``, ``output`` and ``data_preprocessor``.

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
            # ConfigDict.copy returns a ConfigDict, which knows its file and line, so that a build error can name them.
            if hasattr(cfg, "copy"):
                cfg = cfg.copy()
            else:
                cfg = dict(cfg)
            options = {name: cfg.pop(name) for name in names}
    return adapt(MODELS.build(cfg), **options)


def adapt(model: Any, **options: Any) -> Any:
    """Wraps a model without step methods in a :class:`SupervisedModel`, so that a Runner can train the model.

    A model that has ``train_step``, ``val_step`` or ``test_step`` is returned unchanged.

    Args:
        model: any module.
        **options: arguments of :class:`SupervisedModel`, such as ``loss``.
    """
    if not isinstance(model, nn.Module) or any(callable(getattr(model, step, None)) for step in _STEPS):
        if options.get("loss") is not None:
            logger.warning("loss=%r is not used: %s has steps of its own", options["loss"], type(model).__name__)
        return model
    return SupervisedModel(model, **options)


def takes_options(model_type: Any) -> bool:
    """Whether a model's config may contain :data:`OPTIONS`, the arguments of :class:`SupervisedModel` such as ``loss``.

    The config may contain the options if its ``type`` is known and has neither ``train_step`` nor another step method.
    """
    if isinstance(model_type, str):
        if model_type.partition(".")[0] in PREFIXES:
            return True
        model_type = MODELS.in_current_scope().get(model_type)
    return callable(model_type) and not any(hasattr(model_type, step) for step in _STEPS)


def _named_arguments(model_type: Any) -> set[str]:
    """Returns the argument names of a model's class or factory function; an empty set if the signature is unknown."""
    factory = model_type
    if isinstance(model_type, str):
        factory = MODELS.in_current_scope().get(model_type)
    if not callable(factory):
        return set()
    try:
        return set(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # inspect finds no signature for functions written in C.
        return set()
