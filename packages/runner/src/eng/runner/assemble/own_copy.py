"""Copies the config of a part, so that keys can be removed from the copy."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from typing import Any


def own_copy(cfg: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """Returns a shallow copy of a config that has the same class as the config.

    A copy as plain dict would lose the file and line of each key, which error messages name.

    Args:
        cfg: the config of a part of a run.

    Example:
        >>> own_copy({"type": "SGD"})
        {'type': 'SGD'}
    """
    if isinstance(cfg, MutableMapping):
        return copy.copy(cfg)
    return dict(cfg)
