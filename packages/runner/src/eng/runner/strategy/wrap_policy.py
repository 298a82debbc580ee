"""Wrap policies of FSDP: choose, by class, size or name, the modules that are gathered and freed one by one."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import model_name
from eng.logging.near_names import suggest
from eng.logging.words import counted

from ..errors import SettingsError

_KINDS = ("classes", "min_params", "names")


def read_wrap_policy(policy: object, model: nn.Module) -> Any:
    """Converts the argument ``wrap_policy`` of a strategy to a function for the ``auto_wrap_policy`` of FSDP.

    None, functions, names of functions and dicts with a key ``type`` are returned unchanged.

    Args:
        policy: ``dict(classes=["Block", nn.Linear])`` (class names or classes), ``dict(min_params=1_000_000)`` (modules
            with at least this number of parameters, not counting the parameters of wrapped modules inside them) or
            ``dict(names=["layers.*"])`` (dotted names with wildcards).
        model: the model whose modules are wrapped.

    Raises:
        SettingsError: the policy is unknown or matches no module of the model.
    """
    if not isinstance(policy, Mapping) or "type" in policy:
        return policy
    rule, value = _only_item(policy)
    if rule == "min_params":
        return _by_size(int(value), model)
    if isinstance(value, (list, tuple, set)):
        values = list(value)
    else:
        values = [value]
    if rule == "classes":
        chosen = _by_class(values, model)
    else:
        chosen = _by_name(values, model)
    return _members(chosen)


def _only_item(policy: Mapping[str, Any]) -> tuple[str, Any]:
    """Returns the single rule of a policy and its value; raises a SettingsError for other keys or several keys."""
    if len(policy) != 1 or next(iter(policy)) not in _KINDS:
        raise SettingsError(f"wrap_policy is a dict with one of {', '.join(_KINDS)}, got {dict(policy)}")
    return next(iter(policy.items()))


def _by_size(smallest: int, model: nn.Module) -> Callable[..., bool]:
    """Returns a policy that wraps modules with at least ``smallest`` parameters."""

    def wants(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
        return nonwrapped_numel >= smallest

    sizes = [sum(p.numel() for p in child.parameters()) for name, child in model.named_modules() if name]
    if not sizes or max(sizes) < smallest:
        raise SettingsError(
            f"wrap_policy min_params={smallest} fits no module: the largest one in {model_name(model)} has "
            f"{counted(max(sizes, default=0), 'parameter')}"
        )
    return wants


def _by_class(values: list[Any], model: nn.Module) -> list[nn.Module]:
    """Returns the modules whose class, or a base class of it, is one of ``values`` (classes or their names)."""
    known = {cls.__name__ for module in model.modules() for cls in type(module).__mro__[:-2]}
    chosen: list[nn.Module] = []
    for value in values:
        if isinstance(value, str):
            name = value
        else:
            name = value.__name__
        matches = [m for m in model.modules() if m is not model and name in (cls.__name__ for cls in type(m).__mro__)]
        chosen += matches or _refuse_unmatched("classes", name, known, model)
    return chosen


def _by_name(patterns: list[str], model: nn.Module) -> list[nn.Module]:
    """Returns the modules whose dotted name matches one of the patterns; a pattern without match raises an error."""
    modules = {name: module for name, module in model.named_modules() if name}
    chosen: list[nn.Module] = []
    for pattern in patterns:
        matches = [module for name, module in modules.items() if fnmatch.fnmatchcase(name, pattern)]
        chosen += matches or _refuse_unmatched("names", pattern, set(modules), model)
    return chosen


def _refuse_unmatched(rule: str, value: str, known: set[str], model: nn.Module) -> list[nn.Module]:
    """Raises a SettingsError because a class name or pattern matches no module; the message suggests similar names."""
    hint = suggest(value, known, otherwise=f"; there are {', '.join(sorted(known)[:12]) or 'none'}")
    raise SettingsError(f"wrap_policy {rule}={value!r} fits no module of {model_name(model)}{hint}")


def _members(chosen: list[nn.Module]) -> Callable[..., bool]:
    """Returns a policy that wraps exactly these modules, and lets FSDP search inside all modules (``recurse``)."""
    ids = {id(module) for module in chosen}

    def wants(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
        return recurse or id(module) in ids

    return wants
