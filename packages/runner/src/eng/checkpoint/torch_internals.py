"""Names of torch that have no public counterpart, gathered here. Read from torch 2.6 to 2.13.

Each function names what it does; nothing else in the hub reads or sets these names.
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
# What `load_state_dict` returns, and hands to the hooks that run behind it.
_IncompatibleKeys: Any = type(nn.Module().load_state_dict({}))


# ---------------------------------------------------------------- state dicts


def module_versions(state: object) -> Versions | None:
    """The version numbers of the modules that a state dict came from, by name; None where it has none."""
    versions: Versions | None = getattr(state, "_metadata", None)
    return versions


def set_module_versions(state: Any, versions: Versions) -> None:
    """Sets the version numbers, from which torch tells how to convert old weights; see :func:`module_versions`."""
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
    """Loads the parameters and buffers of one module without its children, as ``load_state_dict`` does for each module.

    Args:
        module: the module. Libraries override the method that is called here.
        state: weights of the model. The module may rename entries.
        prefix: name of the module in the model, with a dot behind it.
        versions: of this module.
        missing: gets the keys that the module lacks.
        unexpected: gets the keys below `prefix` that the module has not.
        errors: gets texts of further failures.
    """
    module._load_from_state_dict(state, prefix, versions, True, missing, unexpected, errors)


def child_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Names and children; unlike ``named_children`` also a module that has a second name."""
    return ((name, child) for name, child in module._modules.items() if child is not None)


def run_load_hooks(module: nn.Module, missing: list[str], unexpected: list[str]) -> None:
    """Calls what ``register_load_state_dict_post_hook`` registered; a hook may change the lists."""
    for hook in module._load_state_dict_post_hooks.values():
        hook(module, _IncompatibleKeys(missing, unexpected))


# ---------------------------------------------------------------- the compiler


def compiled_module(module: nn.Module) -> nn.Module | None:
    """The module inside of what ``torch.compile(module)`` returned; None for any other module.

    The class of the outer module is not asked, as importing the compiler takes a second.
    """
    inner = getattr(module, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else None


def compile_call(module: nn.Module, keywords: Mapping[str, Any]) -> None:
    """Compiles a module in place, as ``module.compile()`` does, also a container of torch's own.

    The compiler leaves functions of torch itself alone, such as the forward of ``nn.Sequential``, but for those that it meets in
    a function of another package.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return module._call_impl(*args, **kwargs)

    module._compiled_call_impl = torch.compile(call, **keywords)


def set_recompile_limit(limit: int | None, raises: bool) -> None:
    """Sets for the process how often the compiler compiles a function again, and whether more is an error.

    Args:
        limit: None leaves the number as it is.
        raises: whether a function that reaches the limit ends the run; else it runs uncompiled.
    """
    import torch._dynamo

    if limit is not None:
        torch._dynamo.config.recompile_limit = limit
    torch._dynamo.config.fail_on_recompile_limit_hit = raises


# ---------------------------------------------------------------- tensors


def average_tensors(targets: list[torch.Tensor], sources: list[torch.Tensor], weight: float) -> None:
    """Moves each target by `weight` towards its source in place, all of them by one kernel."""
    torch._foreach_lerp_(targets, sources, weight)


def copy_tensors(targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
    """Copies each source to its target, all of them by one kernel."""
    if targets:
        torch._foreach_copy_(targets, sources)


def write_count(tensor: torch.Tensor) -> int:
    """How often a tensor was written to in place."""
    return tensor._version


# ---------------------------------------------------------------- data and checkpoints


def has_met_end(batches: object) -> bool:
    """Whether an iterator of a DataLoader without workers met the end of its stream while it filled its last batch."""
    return bool(getattr(getattr(batches, "_dataset_fetcher", None), "ended", False))


def take_checkpoint_process() -> Sequence[Any]:
    """Asks torch's checkpoint process of this rank to end, which torch itself keeps until the interpreter ends.

    Returns:
        the process, to be joined; empty where there is none.
    """
    executor: Any = import_module("torch.distributed.checkpoint._async_process_executor")
    owner = executor._CHECKPOINT_PROCESS
    if owner is None:
        return ()
    process = owner._save_process
    executor._CHECKPOINT_PROCESS = None
    del owner  # its finalizer asks the process to end
    return (process,)
