"""Build losses from configs, and find the losses and predictions in the output of a network."""

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
_WEIGHTS = ("weight", "pos_weight")  # arguments of torch's losses that must be tensors
# pip installs packages into folders with these names, so a module outside of such a folder is a user's own code.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def register_torch_losses() -> None:
    """Registers the loss classes of ``torch.nn`` under their class names, such as ``"MSELoss"``.

    A name under which the user has registered a class keeps the user's class.
    """
    for name, module in vars(nn).items():
        if name.endswith("Loss") and isinstance(module, type):
            MODELS.register_fallback(name, module)


def build_loss(loss: Any) -> Loss | None:
    """Returns the loss function ``loss(output, target)`` that a setting describes; None for None.

    Args:
        loss: a callable, which is returned unchanged; a class, which is called without arguments; the registered name
            or the dotted path of a class or function; a config ``dict(type=..., ...)``; or None for no loss function.
            In a config of a loss class of ``torch.nn``, ``weight`` and ``pos_weight`` may be lists of numbers, because
            a config file holds no tensors.

    Raises:
        ModelTypeError: ``loss`` has another type (a TypeError).
        UnknownTypeError: no loss is registered under the name (a KeyError).

    Examples:
        >>> build_loss("torch.nn.functional.mse_loss")(torch.ones(2), torch.zeros(2))
        tensor(1.)
        >>> build_loss(dict(type="CrossEntropyLoss", label_smoothing=0.1)).label_smoothing
        0.1
        >>> build_loss(dict(type="CrossEntropyLoss", weight=[1.0, 5.0])).weight
        tensor([1., 5.])
    """
    if loss is None or isinstance(loss, nn.Module):
        return loss
    if isinstance(loss, (str, type)):
        return build_loss({"type": loss})
    if isinstance(loss, Mapping):
        factory = loss.get("type")
        if isinstance(factory, str):
            factory = MODELS.in_current_scope().get(factory)
        if callable(factory) and not isinstance(factory, type):
            return functools.partial(factory, **{key: value for key, value in loss.items() if key != "type"})
        if isinstance(factory, type) and factory.__module__.startswith("torch.nn."):
            loss = {key: _weights(value) if key in _WEIGHTS else value for key, value in loss.items()}
        built: Loss = MODELS.build(loss)
        return built
    if callable(loss):
        return loss  # type: ignore[no-any-return]  # a user's function
    raise ModelTypeError(
        f"loss must be a callable, a name or a config such as dict(type='CrossEntropyLoss'), got {type(loss).__name__}"
    )


def _weights(value: Any) -> Any:
    """Returns a list of numbers as the float tensor that torch's losses need; another value unchanged."""
    return torch.tensor(value, dtype=torch.float32) if isinstance(value, (list, tuple)) else value


def losses_in(output: Any) -> dict[str, Any]:
    """Returns the losses that a network has computed itself, by name; an empty dict if its output holds no loss.

    If the output is a mapping, the losses are all entries with ``loss`` in their name. Otherwise there is one loss: the
    output itself if the output is a 0-dim float tensor, the attribute ``loss`` of an output object, or the 0-dim float
    tensor in a tuple or list that has exactly one such tensor.
    """
    if _is_loss(output):
        return {"loss": output}
    if isinstance(output, Mapping):
        return {name: value for name, value in output.items() if "loss" in str(name) and value is not None}
    loss = getattr(output, "loss", None)
    if loss is not None:
        return {"loss": loss}
    if isinstance(output, (tuple, list)):
        scalars = [item for item in output if _is_loss(item)]
        if len(scalars) == 1:
            return {"loss": scalars[0]}
    return {}


def prediction_in(output: Any, key: str | int | None = None) -> Any:
    """Returns the part of a network's output that is the prediction; a tensor or list is the prediction itself.

    Args:
        output: output of the network.
        key: key or position of the prediction in an output with several parts. None selects the part with a usual name
            such as ``logits``, or else the first tensor that is not a scalar; an output without such a tensor is
            returned unchanged.

    Raises:
        ModelTypeError: the output has no part ``key`` (a TypeError).
    """
    if key is not None:
        return _output(output, key)
    if isinstance(output, (torch.Tensor, list)):
        return output
    for name in _PREDICTION_NAMES:
        if isinstance(output, Mapping):
            value = output.get(name)
        else:
            value = getattr(output, name, None)
        if value is not None:
            return value
    values = []
    if isinstance(output, Mapping):
        values = [value for name, value in output.items() if "loss" not in str(name)]
    elif isinstance(output, tuple):
        values = list(output)
    tensors = [value for value in values if isinstance(value, torch.Tensor) and value.dim()]
    if not tensors:
        return output
    return tensors[0]


def compared_output(loss: Loss, output: Any, key: str | int | None = None) -> Any:
    """Returns the part of a network's output that is passed to a loss function.

    A loss function from the user's own code may expect several parts, so that it gets a plain tuple or dict unchanged.
    A loss function of torch or of another installed package expects one tensor, so that it gets the prediction that
    :func:`prediction_in` selects. An output that is neither a tuple nor a dict is reduced to its prediction for every
    loss function.

    Args:
        loss: the loss function.
        output: output of the network.
        key: key or position of the part that every loss function gets; None applies the rules above.
    """
    is_plain = type(output) in (tuple, dict, OrderedDict) or hasattr(output, "_fields")
    if key is not None or _takes_one_output(loss) or not is_plain:
        return prediction_in(output, key)
    return output


def takes_target(loss: Loss) -> bool:
    """Whether a loss function takes a target as its second positional argument, after the network's output.

    A second argument whose default value is not None is an option, such as ``margin=0.5``, and not a target.
    """
    function: Any = loss
    if isinstance(loss, nn.Module):
        function = loss.forward
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # inspect finds no signature for a function written in C.
        return True
    by_place = [item for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    if any(item.kind is item.VAR_POSITIONAL for item in parameters) or not by_place:
        return True
    return len(by_place) > 1 and by_place[1].default in (inspect.Parameter.empty, None)


def _takes_one_output(loss: Loss) -> bool:
    """Whether a loss function expects a single tensor instead of the network's complete output.

    This holds for loss functions of torch and of installed packages, and for subclasses of the losses of ``torch.nn``.
    """
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
    """Whether the Python module of this name belongs to an installed package, and not to a user's project."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not _PACKAGES.isdisjoint(Path(file).parts)


def _output(output: Any, key: str | int) -> Any:
    """Returns the part ``key`` of a network's output: an item of a mapping, tuple or list, or an object's attribute."""
    try:
        if isinstance(output, (Mapping, tuple, list)):
            container: Any = output
            return container[key]
        return getattr(output, str(key))
    except (KeyError, IndexError, AttributeError, TypeError):
        names: Any = type(output).__name__
        if isinstance(output, Mapping):
            names = list(output)
        raise ModelTypeError(f"output={key!r}: the network returned no such output, but {names}") from None


def _is_loss(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() == 0 and value.is_floating_point()
