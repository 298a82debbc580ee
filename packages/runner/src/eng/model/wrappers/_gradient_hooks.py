"""Compress the gradients that DistributedDataParallel exchanges: to 16 bits, or to low-rank matrices (PowerSGD)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.nn.parallel.distributed import DistributedDataParallel

from eng.logging.near_names import suggest
from eng.model.errors import WrapperOptionError

__all__ = ["register_gradient_hook"]

_NAMES = ("bf16", "fp16", "powersgd", "batched_powersgd")


def register_gradient_hook(wrapper: DistributedDataParallel, setting: str | Mapping[str, Any] | None) -> None:
    """Registers one of torch's communication hooks, which compress the gradients that the ranks exchange.

    Args:
        wrapper: the DistributedDataParallel wrapper, before its first backward.
        setting: name of a hook: ``"bf16"`` and ``"fp16"`` send gradients as 16-bit numbers, ``"powersgd"`` and
            ``"batched_powersgd"`` as low-rank matrices. Or a dict with the name under ``type`` and options of
            ``PowerSGDState``, such as ``matrix_approximation_rank``; the option ``compress="bf16"`` (or ``"fp16"``)
            sends the matrices of PowerSGD as 16-bit numbers. None registers no hook: gradients are not compressed.

    Raises:
        WrapperOptionError: the name of the hook, or an option of the hook, is unknown.
    """
    if setting is None:
        return
    options: dict[str, Any] = {"type": setting}
    if isinstance(setting, Mapping):
        options = dict(setting)
    name = options.pop("type", None)
    compress = options.pop("compress", None)
    if name not in _NAMES:
        raise WrapperOptionError(
            "gradient_hook", f"expected one of {', '.join(_NAMES)}, got {name!r}{suggest(name, _NAMES, '')}"
        )
    is_powersgd = "powersgd" in name
    if is_powersgd:
        state, hook = _powersgd(name, options, wrapper.process_group)
    else:
        # torch passes the state to each call of a hook. The 16-bit hooks take the process group as their state.
        state, hook = wrapper.process_group, _compression_hook(name, options)
    if compress is not None:
        if compress not in ("bf16", "fp16") or not is_powersgd:
            raise WrapperOptionError(
                "gradient_hook", f"compress is 'bf16' or 'fp16', beside powersgd, got {compress!r} beside {name!r}"
            )
        hook = _compression_wrapper(compress)(hook)
    # torch recognises its bfloat16 hooks by the function name and refuses them with the backend gloo, although gloo can
    # exchange bfloat16. The lambda hides the function name.
    wrapper.register_comm_hook(state, lambda state, bucket: hook(state, bucket))  # noqa: PLW0108


def _compression_hook(name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    if options:
        raise WrapperOptionError("gradient_hook", f"{name!r} takes no options, got {sorted(options)}")
    hooks = {"bf16": default_hooks.bf16_compress_hook, "fp16": default_hooks.fp16_compress_hook}
    return hooks[name]


def _compression_wrapper(compress: str) -> Callable[..., Any]:
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    wrappers = {"bf16": default_hooks.bf16_compress_wrapper, "fp16": default_hooks.fp16_compress_wrapper}
    return wrappers[compress]


def _powersgd(name: str, options: dict[str, Any], group: Any) -> tuple[Any, Callable[..., Any]]:
    """Returns the state and the function of torch's communication hook PowerSGD, as register_comm_hook takes them."""
    from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

    try:
        state = powerSGD_hook.PowerSGDState(options.pop("process_group", group), **options)
    except (TypeError, ValueError) as error:
        raise WrapperOptionError("gradient_hook", f"{name!r}: {error}") from error
    hooks = {"powersgd": powerSGD_hook.powerSGD_hook, "batched_powersgd": powerSGD_hook.batched_powerSGD_hook}
    return state, hooks[name]
