"""ZeroRedundancyOptimizer whose inner optimizer is a class name, so that a config can name it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.distributed.optim import ZeroRedundancyOptimizer as _ZeroRedundancyOptimizer

from eng.dist import is_main_process
from eng.logging.near_names import suggest
from eng.optim.errors import OptimError


class ZeroRedundancyOptimizer(_ZeroRedundancyOptimizer):
    """An optimizer whose state is sharded over the ranks of the process group (ZeRO stage 1).

    Args:
        params: parameters, or parameter groups.
        optimizer_type: name of the optimizer class of ``torch.optim`` with which each rank updates its share of the
            parameters.
        **kwargs: arguments of the optimizer class and of :class:`torch.distributed.optim.ZeroRedundancyOptimizer`.

    Raises:
        OptimError: ``torch.optim`` has no class with the name ``optimizer_type`` (a ValueError).

    Source: Rajbhandari et al. 2020 (ZeRO), arXiv:1910.02054.
    """

    def __init__(self, params: Iterable[Any], optimizer_type: str, **kwargs: Any) -> None:
        optimizer_class = getattr(torch.optim, optimizer_type, None)
        if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, torch.optim.Optimizer)):
            raise OptimError(
                f"torch.optim has no optimizer {optimizer_type!r}{suggest(optimizer_type, dir(torch.optim))}"
            )
        super().__init__(list(params), optimizer_class, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Gathers the optimizer state of all ranks; rank 0 returns the complete state, all other ranks an empty dict.

        All ranks must call this method.
        """
        self.consolidate_state_dict()
        if not is_main_process():
            return {}
        return super().state_dict()
