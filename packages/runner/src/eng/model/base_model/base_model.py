"""BaseModel: a forward with modes, and the steps that a loop calls."""

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
    """A model that a loop trains, validates and tests; a subclass gives :meth:`forward`.

    Args:
        data_preprocessor: a module, or its config, between loader and model; None moves batches to the device.
        init_cfg: see :class:`BaseModule`.

    Raises:
        TypeError: ``data_preprocessor`` is neither.

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
        """One training iteration: preprocess, losses, backward and (when its turn has come) an update.

        Args:
            data: a batch, as the loader gives it.
            optim_wrapper: an :class:`eng.optim.OptimWrapper`.

        Returns:
            The log variables: detached tensors on the model's device, so that nothing waits for them.
        """
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.data_preprocessor(data, True), mode="loss")
        parsed_loss, log_vars = self.parse_losses(losses)
        update_params(optim_wrapper, parsed_loss, losses)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """The predictions for a batch; gradients are the caller's business.

        Args:
            data: a batch, as the loader gives it.
        """
        data = self.data_preprocessor(data, False)
        return self._run_forward(data, mode="predict")

    def test_step(self, data: Any) -> Any:
        """As :meth:`val_step`."""
        data = self.data_preprocessor(data, False)
        return self._run_forward(data, mode="predict")

    def parse_losses(self, losses: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss to minimise and what is logged, of what ``forward(..., mode='loss')`` returned.

        Args:
            losses: tensors, or lists of them, by name: each tensor is averaged, a list is summed. Entries with ``loss``
                in their name are minimised, others logged only. An entry ``loss_weight`` (a number or tensor of one
                element: the tokens or samples behind the losses) is neither: it makes accumulation exact.

        Returns:
            The sum of the losses (scalar, differentiable), and the detached mean of each entry, ``loss`` the last.

        Raises:
            LossTypeError: it is no dictionary, or an entry is of another type (a TypeError).
            NoLossError: no entry is a loss.
        """
        return sum_losses(losses)

    if TYPE_CHECKING:  # a subclass's forward takes the arguments of its own batches, as nn.Module's does
        forward: Callable[..., Any]
    else:

        @abstractmethod
        def forward(self, inputs: torch.Tensor, data_samples: list[Any] | None = None, mode: str = "tensor") -> Any:
            """What the mode asks for, of a batch.

            Args:
                inputs: the batch; a dictionary batch comes as keywords, a sequence as positional arguments.
                data_samples: what belongs to it.
                mode: ``"loss"``: a dictionary of losses; ``"predict"``: a list of predictions; ``"tensor"``: the network's
                    plain output.
            """

    _run_forward = run_forward
