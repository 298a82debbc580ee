"""A copy of a part's config that may be changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from typing import Any


def own_copy(cfg: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """A shallow copy of a config, of the same class: a plain dict would lose the file and line that errors name.

    Args:
        cfg: the config of a part of a run.

    Example:
        >>> own_copy({"type": "SGD"})
        {'type': 'SGD'}
    """
    if isinstance(cfg, MutableMapping):
        return copy.copy(cfg)
    return dict(cfg)
