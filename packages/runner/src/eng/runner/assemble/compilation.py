"""Compiles a model, or some of its modules, with torch.compile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from eng.checkpoint.torch_internals import compile_call, set_recompile_limit, tree_map_only
from eng.checkpoint.unwrap import model_name, unwrap

from ..errors import SettingsError
from ..module_patterns import modules_by_pattern

__all__ = ["compile_model", "kept_outputs", "wants_cache"]

# Models whose compiled code uses CUDA graphs, which write their outputs to the same memory in each call.
_REUSE_OUTPUTS: WeakSet[nn.Module] = WeakSet()


def compile_model(model: nn.Module, options: bool | Mapping[str, Any]) -> None:
    """Compiles the ``forward`` of a model, or of some of its modules, in place; names in its state dict stay the same.

    Args:
        model: the model, wrapped or not.
        options: False leaves the model as it is; True, or the keywords of :meth:`torch.nn.Module.compile` and of these:

            - ``target``: a method other than ``forward`` to compile, such as ``"train_step"``;
            - ``regions``: names of modules, with wildcards, that are compiled instead of the complete model; modules of
              the same class share their compiled code;
            - ``recompile_limit``: how often a function is compiled again for other shapes or values; after that the
              function runs uncompiled;
            - ``on_recompile_limit``: ``"warn"`` (default) or ``"raise"`` when this limit is reached;
            - ``cache``: True saves the compiled code in the work dir (:class:`eng.hooks.CompileCacheHook`).

    Raises:
        ValueError: the model has no method named by ``target``, or no module named by ``regions``.
        SettingsError: options contradict each other.
    """
    if not options:
        return
    if isinstance(options, bool):
        keywords = {}
    else:
        keywords = dict(options)
    keywords.pop("cache", None)
    _limit_recompiles(keywords.pop("recompile_limit", None), keywords.pop("on_recompile_limit", "warn"))
    target, regions = keywords.pop("target", "forward"), keywords.pop("regions", None)
    if _uses_cuda_graphs(keywords):
        _REUSE_OUTPUTS.add(model)
    if regions is not None:
        if target != "forward":
            raise SettingsError(f"compile takes regions or target, got regions={regions!r} and target={target!r}")
        for module in modules_by_pattern(unwrap(model), regions, "compile=dict(regions=...)").values():
            _compile_region(module, keywords)
        return
    if target == "forward":
        unwrap(model).compile(**keywords)
        return
    if not callable(getattr(model, target, None)):
        raise ValueError(f"compile=dict(target={target!r}): {model_name(model)} has no such method")
    setattr(model, target, torch.compile(getattr(model, target), **keywords))


def _compile_region(module: nn.Module, keywords: Mapping[str, Any]) -> None:
    """Compiles one module in place, even a container such as nn.Sequential, which ``Module.compile`` would skip."""
    if not type(module).forward.__module__.startswith("torch."):
        module.compile(**keywords)
        return
    compile_call(module, keywords)


def wants_cache(options: bool | Mapping[str, Any]) -> bool:
    """Whether ``compile=dict(cache=True)`` asks to save the compiled code in the work dir."""
    return isinstance(options, Mapping) and bool(options.get("cache"))


def _uses_cuda_graphs(keywords: Mapping[str, Any]) -> bool:
    """Whether the options of ``torch.compile`` ask for CUDA graphs."""
    modes = ("reduce-overhead", "max-autotune")
    options = keywords.get("options") or {}
    return (
        keywords.get("mode") in modes
        or keywords.get("backend") == "cudagraphs"
        or bool(options.get("triton.cudagraphs"))
    )


def kept_outputs(model: nn.Module, outputs: object) -> Any:
    """Returns the outputs of a training or evaluation step, cloned if the next step would overwrite their memory.

    A CUDA graph writes its outputs to the same memory in each replay, but hooks read losses and predictions later.

    Args:
        model: the model of the run, in its wrapper.
        outputs: tensors and data elements, also nested in lists and mappings.
    """
    if model not in _REUSE_OUTPUTS:
        return outputs
    return tree_map_only(torch.Tensor, torch.clone, outputs)


def _limit_recompiles(limit: int | None, action: str) -> None:
    """Sets how often torch's compiler may recompile a function in this process.

    Args:
        limit: largest number of recompilations; None keeps torch's default.
        action: ``"raise"`` makes a further recompilation an error; ``"warn"`` runs the function uncompiled.

    Raises:
        SettingsError: ``action`` is unknown, or ``limit`` is not an integer above 0.
    """
    if action not in ("warn", "raise"):
        raise SettingsError(f"compile: on_recompile_limit must be 'warn' or 'raise', got {action!r}")
    if limit is None and action == "warn":
        return
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise SettingsError(f"compile: recompile_limit must be a number above 0, got {limit!r}")
    set_recompile_limit(limit, raises=action == "raise")
