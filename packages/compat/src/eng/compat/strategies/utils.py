"""``MetaTensorContext`` of ``mmengine._strategy.utils``."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


def _is_tensor_constructor(func: Any) -> bool:
    """Whether an operator creates a tensor without a tensor among its arguments, such as ``zeros``."""
    schema = func._schema  # noqa: SLF001  # torch has no public name for the schema of an operator
    takes_tensor = any(argument.type.isSubtypeOf(torch._C.TensorType.get()) for argument in schema.arguments)  # noqa: SLF001  # torch has no public name for this
    makes_tensor = len(schema.returns) == 1 and schema.returns[0].type is torch._C.TensorType.get()  # noqa: SLF001  # torch has no public name for this
    return not takes_tensor and makes_tensor


class MetaTensorContext(TorchDispatchMode):
    """Dispatch mode that creates all tensors on the meta device, where they have a shape but no memory."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator; operators that create tensors or have an argument ``device`` use the meta device."""
        kwargs = dict(kwargs or {})
        if _is_tensor_constructor(func) or "device" in kwargs:
            kwargs["device"] = torch.device("meta")
        args = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta") if "device" in kwargs else tensor, args)
        return func(*args, **kwargs)
