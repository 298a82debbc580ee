"""Which values of an optimizer's parameter groups its user sets."""

from __future__ import annotations

import inspect
from typing import Any

from torch.optim import Optimizer

from .split_optimizer import SplitOptimizer

# Counts and modes that schedule-free and step-size-free optimizers keep beside the settings, in each group.
_STATE = frozenset({"k", "step", "train_mode"})


def group_settings(optimizer: Any) -> list[dict[str, str]]:
    """For each parameter group its keys that a user sets, by their name in the optimizer's config.

    Args:
        optimizer: the optimizer. Of a :class:`SplitOptimizer` the names of all parts but the first begin with ``split.``.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.ones(1))])
        >>> list(group_settings(optimizer)[0])[:3]
        ['lr', 'lr_decay', 'eps']
    """
    if not isinstance(optimizer, SplitOptimizer):
        return [{key: key for key in _setting_names(optimizer)}] * len(optimizer.param_groups)
    by_group = []
    for number, part in enumerate(optimizer.optimizers):
        prefix = ""
        if number:
            prefix = "split."
        by_group += [{f"{prefix}{key}": key for key in _setting_names(part)}] * len(part.param_groups)
    added = len(optimizer.param_groups) - len(by_group)
    return by_group + by_group[:1] * added


def _setting_names(optimizer: Any) -> list[str]:
    """The keys of an optimizer's groups that are settings: all defaults, unless it keeps its state there.

    Of an optimizer that does, the settings are what its constructor, or that of a class it derives from, takes.
    """
    defaults = list(getattr(optimizer, "defaults", {}))
    arguments: set[str] = set()
    for base in type(optimizer).__mro__:
        if base not in (Optimizer, object) and "__init__" in vars(base):
            arguments.update(inspect.signature(vars(base)["__init__"]).parameters)
    if _STATE.intersection(defaults) - arguments:
        return [key for key in defaults if key in arguments]
    return defaults
