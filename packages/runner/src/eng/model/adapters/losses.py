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
# pip installs packages into folders with these names; the code of a user's project is in other folders.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def register_torch_losses() -> None:
    """Registers the loss modules of ``torch.nn`` by name; a user's class with the same name takes precedence."""
    for name, module in vars(nn).items():
        if name.endswith("Loss") and isinstance(module, type):
            MODELS.register_fallback(name, module)


def build_loss(loss: Any) -> Loss | None:
    """Builds the function ``loss(output, target)`` from a setting.

    Args:
        loss: a callable, a class, a registered name, a dotted path, ``dict(type=..., ...)``, or None.

    Raises:
        ModelTypeError: ``loss`` has another type (a TypeError).
        UnknownTypeError: no loss is registered under the name (a KeyError).

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
        factory = loss.get("type")
        if isinstance(factory, str):
            factory = MODELS.in_current_scope().get(factory)
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
    """Returns the losses in a network's output, by name; an empty dict if there are none.

    A loss is an entry of a mapping with ``loss`` in its name, the attribute ``loss`` of an object, the output itself if
    it is a 0-dim float tensor, or the only 0-dim float tensor in a tuple or list.
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
    """Returns the prediction in a network's output.

    Args:
        output: output of the network.
        key: key or position of the prediction among several outputs. None selects an output with a usual name such as
            ``logits``, or else the first tensor.

    Raises:
        ModelTypeError: the network returned no output ``key`` (a TypeError).
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
    """Returns the part of a network's output that is passed to a loss.

    A loss of the user's own code gets a plain tuple or dict as the network returned it. A loss of torch or of another
    installed package gets the prediction that :func:`prediction_in` finds, and so does any loss if the output is
    another object.

    Args:
        loss: the loss.
        output: output of the network.
        key: key or position of the output to pass, for any loss; None applies the rules above.
    """
    is_plain = type(output) in (tuple, dict, OrderedDict) or hasattr(output, "_fields")
    if key is not None or _takes_one_output(loss) or not is_plain:
        return prediction_in(output, key)
    return output


def takes_target(loss: Loss) -> bool:
    """Whether a loss takes a target as its second argument.

    A second argument with a default other than None does not count, since it is an option such as ``margin=0.5``.
    """
    function: Any = loss
    if isinstance(loss, nn.Module):
        function = loss.forward
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # A function written in C, without a signature.
        return True
    by_place = [item for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    if any(item.kind is item.VAR_POSITIONAL for item in parameters) or not by_place:
        return True
    return len(by_place) > 1 and by_place[1].default in (inspect.Parameter.empty, None)


def _takes_one_output(loss: Loss) -> bool:
    """Whether a loss takes a single tensor: it is from torch or an installed package, or a subclass of a torch loss."""
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
    """Whether a Python module belongs to an installed package, and not to a user's project."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not _PACKAGES.isdisjoint(Path(file).parts)


def _output(output: Any, key: str | int) -> Any:
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
