"""MMDistributedDataParallel: DistributedDataParallel with the steps that a Runner calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel
from torch.nn.parallel.distributed import DistributedDataParallel

from eng.model._steps import run_forward, train_wrapped
from eng.model.errors import UnusedParametersError
from eng.model.utils import detect_anomalous_params
from eng.registry import MODEL_WRAPPERS

from ._gradient_hooks import register_gradient_hook

MODEL_WRAPPERS.register_module(module=DistributedDataParallel)
MODEL_WRAPPERS.register_module(module=DataParallel)


@MODEL_WRAPPERS.register_module()
class MMDistributedDataParallel(DistributedDataParallel):
    """Wraps a :class:`eng.model.BaseModel` in ``DistributedDataParallel``.

    A training step calls the wrapper's forward, so that gradients are averaged over the ranks. Validation and test
    steps call the model directly.

    Args:
        module: the model.
        detect_anomalous_params: whether to log, at each step, the parameters that do not contribute to the loss. The
            search makes each step slower. Defaults to False.
        gradient_hook: compression of the exchanged gradients: ``"bf16"``, ``"fp16"``, ``"powersgd"``,
            ``"batched_powersgd"``, or ``dict(type="powersgd", matrix_approximation_rank=2, start_powerSGD_iter=1000,
            ...)``. None (default) does not compress them.
        **kwargs: arguments of ``DistributedDataParallel``.

    Raises:
        WrapperOptionError: ``gradient_hook`` is unknown.
    """

    def __init__(
        self,
        module: nn.Module,
        detect_anomalous_params: bool = False,
        gradient_hook: str | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module=module, **kwargs)
        self.detect_anomalous_params = detect_anomalous_params
        register_gradient_hook(self, gradient_hook)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """Runs a training step; see :meth:`eng.model.BaseModel.train_step`."""
        inspect = None
        if self.detect_anomalous_params:
            inspect = partial(detect_anomalous_params, model=self)
        return train_wrapped(self, data, optim_wrapper, inspect)

    def val_step(self, data: Any) -> Any:
        """Returns the predictions for a validation batch; see :meth:`eng.model.BaseModel.val_step`."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Returns the predictions for a test batch; see :meth:`eng.model.BaseModel.test_step`."""
        return self.module.test_step(data)

    _run_forward = run_forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model's forward through ``DistributedDataParallel``, so that the backward averages the gradients.

        Raises:
            UnusedParametersError: the last loss did not depend on some parameters, and ``find_unused_parameters`` is
                False (a RuntimeError). The message names the parameters.
        """
        try:
            return super().forward(*args, **kwargs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except RuntimeError as error:
            names = _unused_in(str(error), [name for name, p in self.module.named_parameters() if p.requires_grad])
            if names:
                raise UnusedParametersError(names) from error
            raise


def _unused_in(message: str, names: list[str]) -> list[str]:
    """Returns the names of the unused parameters; torch's error message has only their positions in ``names``."""
    match = re.search(r"did not receive grad for rank \d+:((?: \d+)+)", message)
    if match is None:
        return []
    numbers = map(int, match.group(1).split())
    return [names[number] for number in numbers if number < len(names)]
