"""BaseModel: a model whose forward has modes, with the training, validation and test steps that a Runner calls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from eng.model._losses import sum_losses, update_params
from eng.model._steps import run_forward
from eng.model.base_module import BaseModule
from eng.registry import MODELS

from ._vendor_devices import VendorDevices


class BaseModel(VendorDevices, BaseModule):
    """A model that a Runner can train, validate and test; a subclass defines :meth:`forward`.

    Args:
        data_preprocessor: a module, or the config of a module, that prepares the batches of the dataloader for the
            model. None (default) only moves the batches to the model's device.
        init_cfg: see :class:`BaseModule`.

    Raises:
        TypeError: ``data_preprocessor`` is neither a module nor a config.

    Examples:
        >>> class Line(BaseModel):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.linear = nn.Linear(1, 1)
        ...     def forward(self, x, y, mode="tensor"):
        ...         out = self.linear(x)
        ...         return {"loss": (out - y) ** 2} if mode == "loss" else out
        >>> line = Line()
        >>> line.val_step([torch.ones(3, 1), torch.ones(3, 1)]).shape
        torch.Size([3, 1])
    """

    def __init__(self, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = {"type": "BaseDataPreprocessor"}
        if isinstance(data_preprocessor, Mapping):
            data_preprocessor = MODELS.build(data_preprocessor)
        if not isinstance(data_preprocessor, nn.Module):
            raise TypeError(
                f"data_preprocessor must be a config, a module or None, got {type(data_preprocessor).__name__}"
            )
        self.data_preprocessor = data_preprocessor

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """Runs a training iteration: data preprocessor, forward, backward and parameter update.

        With gradient accumulation over N batches, only every N-th iteration updates the parameters.

        Args:
            data: a batch, as the dataloader yields it.
            optim_wrapper: an :class:`eng.optim.OptimWrapper`.

        Returns:
            the values to log by name. The values are detached tensors on the model's device, so that the host need not
            wait for the device.
        """
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.data_preprocessor(data, True), mode="loss")
        parsed_loss, log_vars = self.parse_losses(losses)
        update_params(optim_wrapper, parsed_loss, losses)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """Returns the model's predictions for a batch of the validation set.

        The method itself does not disable gradients: call it within ``torch.no_grad()``, as the Runner does.

        Args:
            data: a batch, as the dataloader yields it.
        """
        data = self.data_preprocessor(data, False)
        return self._run_forward(data, mode="predict")

    def test_step(self, data: Any) -> Any:
        """Returns the predictions for a batch of the test set; see :meth:`val_step`."""
        data = self.data_preprocessor(data, False)
        return self._run_forward(data, mode="predict")

    def parse_losses(self, losses: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Computes the loss to minimise and the values to log from the result of ``forward(..., mode='loss')``.

        Args:
            losses: tensors, or lists of tensors, by name. Each tensor is reduced to its mean, and the means of a list
                are summed. Entries with ``loss`` in their name are minimised; all other entries are only logged. The
                entry ``loss_weight`` (a number or a tensor with one element) is the number of tokens or samples over
                which the losses are means. The entry is neither minimised nor logged, but passed to the optimizer
                wrapper, which needs the number for exact gradient accumulation.

        Returns:
            the sum of the losses (a 0-dim tensor with gradient), and a dict with the detached value of each entry, in
            which the sum of the losses, ``loss``, is the last entry.

        Raises:
            LossTypeError: ``losses`` is no dictionary, or an entry is neither a tensor nor a list of tensors (a
                TypeError).
            NoLossError: no entry has ``loss`` in its name.
        """
        return sum_losses(losses)

    # Type checkers see a forward that takes any arguments, as in nn.Module, since each subclass has other arguments.
    if TYPE_CHECKING:
        forward: Callable[..., Any]
    else:

        @abstractmethod
        def forward(self, inputs: torch.Tensor, data_samples: list[Any] | None = None, mode: str = "tensor") -> Any:
            """Returns the losses, the predictions or the network's plain output for a batch, depending on ``mode``.

            Args:
                inputs: the inputs of the batch. The parts of a dict batch are passed as keyword arguments, those of a
                    list or tuple as positional arguments.
                data_samples: labels and other annotations of the samples.
                mode: ``"loss"``: a dictionary of losses; ``"predict"``: a list of predictions; ``"tensor"``: the
                    network's plain output.
            """

    _run_forward = run_forward
