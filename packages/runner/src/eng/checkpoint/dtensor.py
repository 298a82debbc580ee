"""Sharded tensors (DTensor): whether a tensor is one, this rank's part of it, and all of it.

Torch's module of them takes a second to load; none of these functions loads it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeGuard

    from torch.distributed.tensor import DTensor


def is_dtensor(value: object) -> TypeGuard[DTensor]:
    """Whether a value is a ``DTensor``."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def local_part(value: Any) -> Any:
    """This rank's part of a sharded tensor; any other value as it is."""
    if is_dtensor(value):
        return value.to_local()
    return value


def full_tensor(value: Any) -> Any:
    """A sharded tensor gathered from all ranks, each of which must call this; any other value as it is."""
    if is_dtensor(value):
        return value.full_tensor()
    return value
