"""Tell the settings of an optimizer's parameter groups from the state that some optimizers keep in the groups."""

from __future__ import annotations

import inspect
from typing import Any

from torch.optim import Optimizer

from .split_optimizer import SplitOptimizer

# Schedule-free and learning-rate-free optimizers keep these state values in each group, beside the settings.
_STATE = frozenset({"k", "step", "train_mode"})


def group_settings(optimizer: Any) -> list[dict[str, str]]:
    """Returns for each parameter group a mapping from the setting's name in the optimizer's config to its key.

    Args:
        optimizer: the optimizer. The settings of all parts of a :class:`SplitOptimizer` but the first have names that
            begin with ``split.``.

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
    """Returns the keys of an optimizer's groups that are settings.

    These are all keys of ``defaults``. If the optimizer keeps state there too, only the keys count that are arguments
    of its constructor or of a base class's constructor.
    """
    defaults = list(getattr(optimizer, "defaults", {}))
    arguments: set[str] = set()
    for base in type(optimizer).__mro__:
        if base not in (Optimizer, object) and "__init__" in vars(base):
            arguments.update(inspect.signature(vars(base)["__init__"]).parameters)
    if _STATE.intersection(defaults) - arguments:
        return [key for key in defaults if key in arguments]
    return defaults
