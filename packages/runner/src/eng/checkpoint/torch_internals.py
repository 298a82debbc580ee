"""All uses of torch's private names in eng's runner package, for which torch has no public counterpart.

The names were checked in torch 2.6 to 2.13. No other module of the package reads or sets a private name of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn

__all__ = [
    "average_tensors",
    "child_modules",
    "compile_call",
    "compiled_module",
    "copy_tensors",
    "has_met_end",
    "load_entries",
    "module_versions",
    "run_load_hooks",
    "set_module_versions",
    "set_recompile_limit",
    "take_checkpoint_process",
    "write_count",
]

Versions = Mapping[str, Any]
# The class of load_state_dict's result, an instance of which torch passes to hooks that run after load_state_dict.
_IncompatibleKeys: Any = type(nn.Module().load_state_dict({}))


# ---------------------------------------------------------------- state dicts


def module_versions(state: object) -> Versions | None:
    """Returns the version numbers of the modules of a state dict, by module name; None if it has none."""
    versions: Versions | None = getattr(state, "_metadata", None)
    return versions


def set_module_versions(state: Any, versions: Versions) -> None:
    """Sets a state dict's version numbers, by which torch converts weights of older versions of its modules."""
    state._metadata = versions


def load_entries(
    module: nn.Module,
    state: Mapping[str, Any],
    prefix: str,
    versions: Versions,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Loads the parameters and buffers of a module without its children, by the method that libraries override.

    ``load_state_dict`` of torch calls the same method for each module.

    Args:
        module: the module.
        state: weights of the complete model. The module may rename entries.
        prefix: name of the module in the model, followed by a dot; empty for the model itself.
        versions: version numbers of this module.
        missing: list to which the keys of the module that `state` lacks are appended.
        unexpected: list to which the keys of `state` below `prefix` that the module lacks are appended.
        errors: list to which the texts of further errors are appended.
    """
    module._load_from_state_dict(state, prefix, versions, True, missing, unexpected, errors)


def child_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields the names and child modules; unlike ``named_children``, a child with two names is yielded twice."""
    return ((name, child) for name, child in module._modules.items() if child is not None)


def run_load_hooks(module: nn.Module, missing: list[str], unexpected: list[str]) -> None:
    """Calls the hooks that ``register_load_state_dict_post_hook`` has registered; a hook may change the two lists."""
    for hook in module._load_state_dict_post_hooks.values():
        hook(module, _IncompatibleKeys(missing, unexpected))


# ---------------------------------------------------------------- the compiler


def compiled_module(module: nn.Module) -> nn.Module | None:
    """Returns the original module inside the result of ``torch.compile(module)``; None for any other module.

    The class of the result is not checked, because that would import the compiler, which takes a second.
    """
    inner = getattr(module, "_orig_mod", None)
    if isinstance(inner, nn.Module):
        return inner
    return None


def compile_call(module: nn.Module, keywords: Mapping[str, Any]) -> None:
    """Compiles a module in place like ``module.compile()``, but also containers of torch such as ``nn.Sequential``.

    The compiler skips a function of torch itself, unless a function of another package calls it. So the function
    ``call`` in this module is compiled instead of the container's forward.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return module._call_impl(*args, **kwargs)

    module._compiled_call_impl = torch.compile(call, **keywords)


def set_recompile_limit(limit: int | None, raises: bool) -> None:
    """Sets how often the compiler may recompile a function in this process, and what happens at the limit.

    Args:
        limit: largest number of recompilations; None keeps torch's present limit.
        raises: whether a function that reaches the limit raises an error (True) or runs uncompiled (False).
    """
    import torch._dynamo

    if limit is not None:
        torch._dynamo.config.recompile_limit = limit
    torch._dynamo.config.fail_on_recompile_limit_hit = raises


# ---------------------------------------------------------------- tensors


def average_tensors(targets: list[torch.Tensor], sources: list[torch.Tensor], weight: float) -> None:
    """Moves each target towards its source by the fraction `weight`, in place, with a single fused kernel."""
    torch._foreach_lerp_(targets, sources, weight)


def copy_tensors(targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
    """Copies each source into its target with a single fused kernel."""
    if targets:
        torch._foreach_copy_(targets, sources)


def write_count(tensor: torch.Tensor) -> int:
    """Returns how often a tensor was written to in place."""
    return tensor._version


# ---------------------------------------------------------------- data and checkpoints


def has_met_end(batches: object) -> bool:
    """Whether the iterator of a DataLoader without workers reached the end of its stream in the last batch."""
    return bool(getattr(getattr(batches, "_dataset_fetcher", None), "ended", False))


def take_checkpoint_process() -> Sequence[Any]:
    """Asks the process in which torch writes this rank's checkpoints to end; torch itself keeps it until the exit.

    Returns:
        a tuple with the process, which the caller must join; empty if there is no such process.
    """
    executor: Any = import_module("torch.distributed.checkpoint._async_process_executor")
    owner = executor._CHECKPOINT_PROCESS
    if owner is None:
        return ()
    process = owner._save_process
    executor._CHECKPOINT_PROCESS = None
    del owner  # The finalizer of this object asks the process to end.
    return (process,)
