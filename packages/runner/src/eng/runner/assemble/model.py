"""The model from its config, and what is done to it before it trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from eng.checkpoint.unwrap import unwrap
from eng.model import adapters
from eng.runner.errors import ModelContractError

from .own_copy import own_copy

logger = logging.getLogger(__name__)

# Models whose compiled code writes its outputs to the same memory in each call.
_REUSE_OUTPUTS: WeakSet[nn.Module] = WeakSet()

STEPS = {"train": "train_step", "val": "val_step", "test": "test_step"}


def with_data_preprocessor(model: Any, data_preprocessor: Any) -> Any:
    """The config of a run's model with the run's ``data_preprocessor``, where it has none; a module as it is."""
    if data_preprocessor is None or not isinstance(model, Mapping):
        return model
    cfg = own_copy(model)
    cfg.setdefault("data_preprocessor", data_preprocessor)
    return cfg


def with_loss(model: Any, loss: Any) -> Any:
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


def build_model(model: Any) -> nn.Module:
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


def compile_model(model: nn.Module, options: bool | Mapping[str, Any]) -> None:
    """Compiles ``model.forward`` in place; the names in its state dict stay the same.

    Args:
        model: the model, wrapped or not.
        options: False leaves the model as it is; True, or the keywords of :meth:`torch.nn.Module.compile`; ``target`` names a method other than
            ``forward`` to compile, such as ``"train_step"``.

    Raises:
        ValueError: the model has no method called ``target``.
    """
    if not options:
        return
    keywords = {} if isinstance(options, bool) else dict(options)
    target = keywords.pop("target", "forward")
    if _uses_cuda_graphs(keywords):
        _REUSE_OUTPUTS.add(model)
    if target == "forward":
        unwrap(model).compile(**keywords)
        return
    if not callable(getattr(model, target, None)):
        raise ValueError(f"compile=dict(target={target!r}): {type(model).__name__} has no such method")
    setattr(model, target, torch.compile(getattr(model, target), **keywords))


def _uses_cuda_graphs(keywords: Mapping[str, Any]) -> bool:
    """Whether the options of ``torch.compile`` ask for CUDA graphs."""
    modes = ("reduce-overhead", "max-autotune")
    options = keywords.get("options") or {}
    return (
        keywords.get("mode") in modes
        or keywords.get("backend") == "cudagraphs"
        or bool(options.get("triton.cudagraphs"))
    )


def kept_outputs(model: nn.Module, outputs: Any) -> Any:
    """The outputs of a step, copied where the next step of the model would overwrite them.

    Replays of a CUDA graph write to the same memory; losses and predictions are read later than that.

    Args:
        model: as the run holds it.
        outputs: tensors and data elements, alone or nested.
    """
    if model not in _REUSE_OUTPUTS:
        return outputs
    return tree_map_only(torch.Tensor, torch.clone, outputs)
