"""Clipping of gradients, from its setting to the function that does it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from eng.logging.near_names import near

from .errors import OptimError, OptimTypeError

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "norm": torch.nn.utils.clip_grad_norm_,
    "value": torch.nn.utils.clip_grad_value_,
}


def read_clip_grad(clip_grad: Any) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    """Kind, function and arguments of a setting such as ``dict(max_norm=1)`` or ``dict(clip_value=0.2)``.

    Args:
        clip_grad: what ``clip_grad_norm_`` or ``clip_grad_value_`` of ``torch.nn.utils`` takes; ``type`` (``"norm"`` or
            ``"value"``) may be left out, as the arguments tell.

    Raises:
        OptimTypeError: not a mapping with arguments in it.
        OptimError: an unknown type or argument, or the one that is needed is missing.

    Examples:
        >>> kind, _, arguments = read_clip_grad(dict(clip_value=0.2))
        >>> kind, arguments
        ('value', {'clip_value': 0.2})
    """
    if not isinstance(clip_grad, Mapping) or not clip_grad:
        raise OptimTypeError(f"clip_grad must be a mapping such as dict(max_norm=35), got {clip_grad!r}")
    arguments = dict(clip_grad)
    kind = arguments.pop("type", "value" if "clip_value" in arguments else "norm")
    if kind not in _FUNCTIONS:
        raise OptimError(f"clip_grad: type must be 'norm' or 'value', got {kind!r}{near(kind, _FUNCTIONS)}")
    known = [name for name in inspect.signature(_FUNCTIONS[kind]).parameters if name != "parameters"]
    for name in arguments:
        if name not in known:
            raise OptimError(f"clip_grad of type {kind!r} takes no {name!r}{near(name, known)}")
    if known[0] not in arguments:
        raise OptimError(f"clip_grad of type {kind!r} needs {known[0]!r}, got {arguments}")
    return kind, _FUNCTIONS[kind], arguments


def total_norm(parameters: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Norm of all gradients, on their device; None where there are none, or where they are sparse or sharded over ranks.

    Args:
        parameters: with gradients.
    """
    gradients = [p.grad.detach() for p in parameters if p.grad is not None]
    if not gradients or any(each.layout is not torch.strided or hasattr(each, "to_local") for each in gradients):
        return None
    return torch.nn.utils.get_total_norm(gradients)
