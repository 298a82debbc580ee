"""Handle sharded tensors (DTensor) and plain tensors alike: test, local part and gathered tensor.

None of the functions imports ``torch.distributed.tensor``, which takes a second.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeGuard

    from torch.distributed.tensor import DTensor


def is_dtensor(value: object) -> TypeGuard[DTensor]:
    """Whether a value is a ``DTensor``, a tensor that is sharded over ranks."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def local_part(value: Any) -> Any:
    """Returns this rank's part of a sharded tensor, without communication; returns any other value unchanged."""
    if is_dtensor(value):
        return value.to_local()
    return value


def full_tensor(value: Any) -> Any:
    """Gathers a sharded tensor from all ranks, and returns the complete tensor; returns any other value unchanged.

    All ranks must call this function with their part of the tensor.
    """
    if is_dtensor(value):
        return value.full_tensor()
    return value
