"""MMSeparateDistributedDataParallel: data parallelism for models with one optimizer per submodule, such as GANs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel.distributed import DistributedDataParallel

from eng.device import get_device
from eng.dist import watched
from eng.registry import MODEL_WRAPPERS

from .distributed import MMDistributedDataParallel

Self = TypeVar("Self", bound="MMSeparateDistributedDataParallel")


@MODEL_WRAPPERS.register_module()
class MMSeparateDistributedDataParallel(DistributedDataParallel):
    """Wraps each child module of a model separately, and calls the model's own ``train_step``.

    A single DistributedDataParallel around a GAN would wait for gradients of the discriminator while only the generator
    is trained. So each child module with trainable parameters is wrapped in a :class:`MMDistributedDataParallel` of its
    own. Child modules without trainable parameters are only moved to the device.

    Args:
        module: the model.
        broadcast_buffers: whether the first rank sends its buffers to the other ranks before each forward.
        find_unused_parameters: whether to search, at each step, for parameters that do not contribute to the loss.
        **kwargs: arguments of ``DistributedDataParallel`` for every child module.
    """

    def __init__(
        self,
        module: nn.Module,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        **kwargs: Any,
    ) -> None:
        nn.Module.__init__(self)  # Skips DistributedDataParallel.__init__, which builds a gradient reducer.
        self.module: Any = module
        device = get_device()
        for name, child in list(module.named_children()):
            child = child.to(device)
            if any(parameter.requires_grad for parameter in child.parameters()):
                child = MMDistributedDataParallel(
                    module=child,
                    broadcast_buffers=broadcast_buffers,
                    find_unused_parameters=find_unused_parameters,
                    **kwargs,
                )
            module.register_module(name, child)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Calls the model's forward."""
        return self.module(*inputs, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """Calls the model's own ``train_step``, which updates the child modules with the optimizers that it selects."""
        with watched("the training step"):
            return self.module.train_step(data, optim_wrapper)  # type: ignore[no-any-return]  # the model is untyped

    def val_step(self, data: Any) -> Any:
        """Returns the predictions for a validation batch; see :meth:`eng.model.BaseModel.val_step`."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Returns the predictions for a test batch; see :meth:`eng.model.BaseModel.test_step`."""
        return self.module.test_step(data)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Returns a context in which the backward of no child module averages gradients over the ranks."""
        with ExitStack() as stack:
            for child in self.module.children():
                if isinstance(child, DistributedDataParallel):
                    stack.enter_context(child.no_sync())
            yield

    def train(self: Self, mode: bool = True) -> Self:
        """Sets the training or evaluation mode of the wrapper and of the model."""
        self.training = mode
        self.module.train(mode)
        return self
