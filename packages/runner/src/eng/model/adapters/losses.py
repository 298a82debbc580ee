"""Losses from configs, and the losses and predictions in what a network returned."""

from __future__ import annotations

import functools
import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.model.errors import ModelTypeError
from eng.registry import MODELS

Loss = Callable[..., Any]
_PREDICTION_NAMES = ("logits", "out", "preds", "predictions", "prediction", "start_logits", "last_hidden_state")
# Folders into which pip installs packages; a user's project lies elsewhere.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def register_torch_losses() -> None:
    """Registers the loss modules of ``torch.nn`` under their names, which give way to a user's class."""
    for name, module in vars(nn).items():
        if name.endswith("Loss") and isinstance(module, type):
            MODELS.register_fallback(name, module)


def build_loss(loss: Any) -> Loss | None:
    """The function ``loss(output, target)`` that a setting means.

    Args:
        loss: a callable, a class of one, a registered name or dotted path, ``dict(type=..., ...)``, or None.

    Raises:
        ModelTypeError: something else (a TypeError).
        UnknownTypeError: nobody registered the name (a KeyError).

    Examples:
        >>> build_loss("torch.nn.functional.mse_loss")(torch.ones(2), torch.zeros(2))
        tensor(1.)
        >>> build_loss(dict(type="CrossEntropyLoss", label_smoothing=0.1)).label_smoothing
        0.1
    """
    if loss is None or isinstance(loss, nn.Module):
        return loss
    if isinstance(loss, (str, type)):
        return build_loss({"type": loss})
    if isinstance(loss, Mapping):
        loss_type = loss.get("type")
        factory = MODELS.in_current_scope().get(loss_type) if isinstance(loss_type, str) else loss_type
        if callable(factory) and not isinstance(factory, type):
            return functools.partial(factory, **{key: value for key, value in loss.items() if key != "type"})
        built: Loss = MODELS.build(loss)
        return built
    if callable(loss):
        return loss  # type: ignore[no-any-return]  # a user's function
    raise ModelTypeError(
        f"loss must be a callable, a name or a config such as dict(type='CrossEntropyLoss'), got {type(loss).__name__}"
    )


def losses_in(output: Any) -> dict[str, Any]:
    """The losses that a network returned itself, by name; an empty mapping where there are none.

    A mapping's entries with ``loss`` in their name, the attribute ``loss`` of an object, a 0-dim float tensor, or one in
    a tuple.
    """
    if isinstance(output, torch.Tensor):
        return {"loss": output} if _is_loss(output) else {}
    if isinstance(output, Mapping):
        return {name: value for name, value in output.items() if "loss" in str(name) and value is not None}
    loss = getattr(output, "loss", None)
    if loss is not None:
        return {"loss": loss}
    scalars = [item for item in output if _is_loss(item)] if isinstance(output, (tuple, list)) else []
    return {"loss": scalars[0]} if len(scalars) == 1 else {}


def prediction_in(output: Any, key: str | int | None = None) -> Any:
    """What a network predicts: of several outputs that under ``key``, else logits or the first tensor.

    Raises:
        ModelTypeError: there is no such output (a TypeError).
    """
    if key is not None:
        return _output(output, key)
    if isinstance(output, (torch.Tensor, list)):
        return output
    for name in _PREDICTION_NAMES:
        value = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if value is not None:
            return value
    if isinstance(output, Mapping):
        values = [value for name, value in output.items() if "loss" not in str(name)]
    else:
        values = list(output) if isinstance(output, tuple) else []
    tensors = [value for value in values if isinstance(value, torch.Tensor) and value.dim()]
    return tensors[0] if tensors else output


def compared_output(loss: Loss, output: Any, key: str | int | None = None) -> Any:
    """The part of a network's output that a loss is called with.

    A loss of the user's code gets a plain tuple or mapping as the network returned it. For a loss of torch or of another installed
    package, and of any other object, :func:`prediction_in` chooses the prediction.

    Args:
        loss: the loss.
        output: of the network.
        key: which of several outputs is compared, for any loss; None leaves the choice to the rules above.
    """
    is_plain = type(output) in (tuple, dict, OrderedDict) or hasattr(output, "_fields")
    if key is not None or _takes_one_output(loss) or not is_plain:
        return prediction_in(output, key)
    return output


def takes_target(loss: Loss) -> bool:
    """Whether a loss compares with a target; a function of one argument takes the network's output alone.

    A second argument whose default is not None is an option, such as ``margin=0.5``.
    """
    try:
        parameters = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters.values()
    except (TypeError, ValueError):  # a function of C
        return True
    by_place = [item for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    if any(item.kind is item.VAR_POSITIONAL for item in parameters) or not by_place:
        return True
    return len(by_place) > 1 and by_place[1].default in (inspect.Parameter.empty, None)


def _takes_one_output(loss: Loss) -> bool:
    """Whether a loss compares a single tensor: a loss of torch or another installed package, or a subclass of a loss of torch."""
    function = loss
    while isinstance(function, functools.partial):
        function = function.func
    if any(base.__module__ == nn.MSELoss.__module__ for base in type(function).__mro__):
        return True
    owner: Any = type(function)
    if inspect.isroutine(function):
        owner = function
    module = str(getattr(owner, "__module__", None) or "")
    return module.partition(".")[0] == "torch" or _is_installed(module)


def _is_installed(module: str) -> bool:
    """Whether a module lies in an installed package, and not in a project of a user."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not _PACKAGES.isdisjoint(Path(file).parts)


def _output(output: Any, key: str | int) -> Any:
    try:
        holder: Any = output
        return holder[key] if isinstance(output, (Mapping, tuple, list)) else getattr(output, str(key))
    except (KeyError, IndexError, AttributeError, TypeError):
        names = list(output) if isinstance(output, Mapping) else type(output).__name__
        raise ModelTypeError(f"output={key!r}: the network returned no such output, but {names}") from None


def _is_loss(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() == 0 and value.is_floating_point()
