"""All uses of torch's private names in eng's runner package, for which torch has no public counterpart.

The names were checked in torch 2.6 to 2.13. Other modules of the package use a private name of torch only as a class for
``isinstance`` (``_BatchNorm``, ``_ConvNd`` and the like) or to override a method of torch's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

__all__ = [
    "child_modules",
    "compilation_metrics",
    "compile_call",
    "compiled_module",
    "convolve",
    "copy_tensors",
    "has_met_end",
    "load_entries",
    "module_versions",
    "run_load_hooks",
    "set_module_versions",
    "set_recompile_limit",
    "take_checkpoint_process",
    "tree_map_only",
    "write_count",
]

Versions = Mapping[str, Any]
# The class of the result of load_state_dict (missing and unexpected keys), for which torch has no public name. Hooks
# that run after load_state_dict get an object of this class.
_IncompatibleKeys: Any = type(nn.Module().load_state_dict({}))


# ---------------------------------------------------------------- torch's internals of state dicts


def module_versions(state: object) -> Versions | None:
    """Returns the version number of each module whose weights are in a state dict, by the module's name.

    None is returned if the state dict has no version numbers.
    """
    versions: Versions | None = getattr(state, "_metadata", None)
    return versions


def set_module_versions(state: Any, versions: Versions) -> None:
    """Sets the version number of each module in a state dict.

    By these numbers torch recognizes and converts weights that an older version of a module has saved.
    """
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
    """Loads the parameters and buffers of a module, but not those of its child modules.

    This calls the module's ``_load_from_state_dict``, as ``load_state_dict`` of torch does for each module. Libraries
    override the method to convert weights of older versions.

    Args:
        module: the module.
        state: weights of the complete model. The module may rename entries in this dict.
        prefix: name of the module in the model, followed by a dot; empty for the model itself.
        versions: version numbers of this module.
        missing: list to which the keys of the module that `state` lacks are appended.
        unexpected: list to which the keys of `state` below `prefix` that the module lacks are appended.
        errors: list to which the messages of further errors, such as different shapes, are appended.
    """
    module._load_from_state_dict(state, prefix, versions, True, missing, unexpected, errors)


def child_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields the name and module of each direct child of `module`.

    Unlike ``named_children`` of torch, a child that is registered under two names is yielded under both.
    """
    return ((name, child) for name, child in module._modules.items() if child is not None)


def run_load_hooks(module: nn.Module, missing: list[str], unexpected: list[str]) -> None:
    """Calls the hooks that were registered on a module with ``register_load_state_dict_post_hook``.

    Args:
        module: the module.
        missing: keys of the model that the weights lack; a hook may change this list.
        unexpected: keys of the weights that the model lacks; a hook may change this list.
    """
    for hook in module._load_state_dict_post_hooks.values():
        hook(module, _IncompatibleKeys(missing, unexpected))


# ---------------------------------------------------------------- torch's internals of torch.compile


def compiled_module(module: nn.Module) -> nn.Module | None:
    """Returns the original module inside the result of ``torch.compile(module)``; None for any other module.

    The result of ``torch.compile`` holds the original module as its submodule ``_orig_mod``, and is recognised by this
    name. Its class is not checked, because that would import the compiler, which takes a second.
    """
    return next((child for name, child in module.named_children() if name == "_orig_mod"), None)


def compile_call(module: nn.Module, keywords: Mapping[str, Any]) -> None:
    """Compiles a module in place like ``module.compile()``, which has no effect on torch's own ``nn.Sequential``.

    torch's compiler skips functions of torch itself, such as the forward of ``nn.Sequential``, unless a function of
    another package calls them. So the function ``call``, which is outside of torch and calls the module, is compiled.

    Args:
        module: the module to compile.
        keywords: keyword arguments of :func:`torch.compile`.
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


def compilation_metrics() -> Sequence[Any]:
    """Returns the metrics that torch's compiler stores, one object per compilation, oldest first.

    The compiler drops the metrics of old compilations. The result is empty if the compiler is not imported.
    """
    utils = sys.modules.get("torch._dynamo.utils")
    read: Callable[[], Sequence[Any]] = getattr(utils, "get_compilation_metrics", list)
    return read()


# ---------------------------------------------------------------- torch's internals of tensors


def convolve(conv: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Returns the convolution of ``x`` with a weight and a bias other than those of the module ``conv``.

    Stride, dilation, groups and the padding by ``padding_mode`` are those of ``conv``, whose hooks are not called. If
    the class of ``conv`` overrides ``_conv_forward``, its method computes the convolution.
    """
    result: torch.Tensor = conv._conv_forward(x, weight, bias)
    return result


def copy_tensors(targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
    """Copies the values of each source into the target at the same index, with one fused kernel for all tensors."""
    if targets:
        torch._foreach_copy_(targets, sources)


def write_count(tensor: torch.Tensor) -> int:
    """Returns how often a tensor was changed by in-place operations since the tensor was created."""
    return tensor._version


# ---------------------------------------------------------------- torch's internals of dataloaders and checkpoints


def has_met_end(batches: object) -> bool:
    """Whether a DataLoader's iterator came to the end of an iterable dataset while it fetched its last batch.

    Only an iterator without worker processes knows this; False is returned for an iterator with workers.

    Args:
        batches: the iterator.
    """
    return bool(getattr(getattr(batches, "_dataset_fetcher", None), "ended", False))


def take_checkpoint_process() -> Sequence[Any]:
    """Asks torch's process for asynchronous checkpoints to end, which would otherwise run until this rank exits.

    Returns:
        a tuple with the process, which the caller must join; an empty tuple if torch has started no such process.
    """
    executor: Any = import_module("torch.distributed.checkpoint._async_process_executor")
    owner = executor._CHECKPOINT_PROCESS
    if owner is None:
        return ()
    process = owner._save_process
    executor._CHECKPOINT_PROCESS = None
    del owner  # When torch finalizes this object, it asks the checkpoint process to end.
    return (process,)
