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
    """Returns this rank's part of a sharded tensor; any other value as it is."""
    if is_dtensor(value):
        return value.to_local()
    return value


def full_tensor(value: Any) -> Any:
    """Gathers a sharded tensor from all ranks; returns any other value as it is. All ranks must call this function."""
    if is_dtensor(value):
        return value.full_tensor()
    return value
