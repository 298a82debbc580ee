"""Gradient clipping: reads the setting ``clip_grad``, and clips gradients that are sharded over several meshes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import torch

from eng.checkpoint.dtensor import full_tensor, is_dtensor, local_part
from eng.logging.near_names import suggest

from .errors import OptimError, OptimTypeError


@wraps(torch.nn.utils.clip_grad_norm_)
def _clip_norm(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Clips the gradients of parameters to a total norm of ``max_norm``, and returns the total norm before clipping.

    The function works like ``torch.nn.utils.clip_grad_norm_``, which refuses gradients that are sharded over different
    device meshes. For such gradients the total norm is computed here, from the norm of the gradients of each mesh.
    """
    arguments = inspect.signature(torch.nn.utils.clip_grad_norm_).bind(parameters, max_norm, *args, **kwargs)
    options = arguments.arguments
    by_mesh: dict[Any, list[Any]] = {}
    for parameter in parameters:
        by_mesh.setdefault(getattr(parameter.grad, "device_mesh", None), []).append(parameter.grad)
    if len(by_mesh) <= 1:
        norm: torch.Tensor = torch.nn.utils.clip_grad_norm_(parameters, max_norm, *args, **kwargs)
        return norm
    norm_type = float(options.get("norm_type", 2.0))
    norms = [full_tensor(torch.nn.utils.get_total_norm(gradients, norm_type)) for gradients in by_mesh.values()]
    total: torch.Tensor = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]), norm_type)
    if options.get("error_if_nonfinite") and not torch.isfinite(total):
        raise RuntimeError(f"The total norm of order {norm_type} of the gradients is not finite: {total}")
    factor = torch.clamp(max_norm / (total + 1e-6), max=1.0)
    for gradients in by_mesh.values():
        for gradient in gradients:
            shard = local_part(gradient)
            shard.mul_(factor.to(shard.device))
    return total


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "norm": _clip_norm,
    "value": torch.nn.utils.clip_grad_value_,
}


def read_clip_grad(clip_grad: Any) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    """Converts the setting ``clip_grad``, such as ``dict(max_norm=1)``, to a clipping function and its arguments.

    Args:
        clip_grad: arguments of ``clip_grad_norm_`` or ``clip_grad_value_`` of ``torch.nn.utils``, and ``type``
            (``"norm"`` or ``"value"``). Without ``type`` the argument ``clip_value`` selects ``"value"``.

    Returns:
        the type (``"norm"`` or ``"value"``), the function that clips gradients, and the keyword arguments for the
        function.

    Raises:
        OptimTypeError: ``clip_grad`` is not a mapping, or is empty.
        OptimError: the type or an argument is unknown, or ``max_norm`` (``clip_value``) is missing.

    Examples:
        >>> kind, _, arguments = read_clip_grad(dict(clip_value=0.2))
        >>> kind, arguments
        ('value', {'clip_value': 0.2})
    """
    if not isinstance(clip_grad, Mapping) or not clip_grad:
        raise OptimTypeError(f"clip_grad must be a mapping such as dict(max_norm=35), got {clip_grad!r}")
    arguments = dict(clip_grad)
    default_type = "norm"
    if "clip_value" in arguments:
        default_type = "value"
    type_name = arguments.pop("type", default_type)
    if type_name not in _FUNCTIONS:
        raise OptimError(
            f"clip_grad: type must be 'norm' or 'value', got {type_name!r}{suggest(type_name, _FUNCTIONS)}"
        )
    known = [name for name in inspect.signature(_FUNCTIONS[type_name]).parameters if name != "parameters"]
    for name in arguments:
        if name not in known:
            raise OptimError(f"clip_grad of type {type_name!r} takes no {name!r}{suggest(name, known)}")
    if known[0] not in arguments:
        raise OptimError(f"clip_grad of type {type_name!r} needs {known[0]!r}, got {arguments}")
    return type_name, _FUNCTIONS[type_name], arguments


def total_norm(parameters: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Returns the 2-norm of the gradients of all parameters together, as a 0-dim tensor on the gradients' device.

    Args:
        parameters: the parameters; parameters without a gradient are left out.

    Returns:
        the norm; None if no parameter has a gradient, or if a gradient is sparse or sharded over ranks.
    """
    gradients = [p.grad.detach() for p in parameters if p.grad is not None]
    if not gradients or any(item.layout is not torch.strided or is_dtensor(item) for item in gradients):
        return None
    return torch.nn.utils.get_total_norm(gradients)
