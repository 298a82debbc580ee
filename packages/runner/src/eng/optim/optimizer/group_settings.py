"""Tell the settings of an optimizer's parameter groups from the state that some optimizers keep in the groups."""

from __future__ import annotations

import inspect
from typing import Any

from torch.optim import Optimizer

from .split_optimizer import SplitOptimizer

# Schedule-free and learning-rate-free optimizers keep state under these keys in each parameter group, beside settings.
_STATE = frozenset({"k", "step", "train_mode"})


def group_settings(optimizer: Any) -> list[dict[str, str]]:
    """Returns for each parameter group the settings of the group: their names in the optimizer's config and their keys.

    Name and key are equal, except for the second optimizer of a :class:`SplitOptimizer`, whose config is the setting
    ``split``: its setting ``lr`` has the name ``split.lr`` and the key ``lr``.

    Args:
        optimizer: the optimizer whose parameter groups are described.

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
    """Returns the keys of an optimizer's parameter groups that are settings, such as ``lr``, and no state.

    All keys of ``optimizer.defaults`` are settings, unless the optimizer also keeps state in ``defaults``. Then only
    the keys that are arguments of the constructor, or of a base class's constructor, are settings.
    """
    defaults = list(getattr(optimizer, "defaults", {}))
    arguments: set[str] = set()
    for base in type(optimizer).__mro__:
        if base not in (Optimizer, object) and "__init__" in vars(base):
            arguments.update(inspect.signature(vars(base)["__init__"]).parameters)
    if _STATE.intersection(defaults) - arguments:
        return [key for key in defaults if key in arguments]
    return defaults
