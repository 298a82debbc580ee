"""Any ``nn.Module`` as a model that a loop trains, validates and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.model.base_model import BaseDataPreprocessor, BaseModel
from eng.model.base_module import BaseModule
from eng.model.errors import BatchTypeError, NoLossError
from eng.registry import MODELS

from .batches import BatchReader, stacked
from .losses import build_loss, compared_output, losses_in, prediction_in, takes_target
from .predictions import Predictions

PREFIX = "network."


@MODELS.register_module()
class SupervisedModel(BaseModel):
    """A network and its loss, with the steps that a loop calls.

    The Runner puts it around a model without ``train_step``. The names in its state dict are those of the network, so that
    checkpoints load into the network alone, and weights of the network load here.

    Args:
        network: any module, or the config of one.
        loss: ``loss(output, target)``: a callable, a registered name, or a config such as ``dict(type="CrossEntropyLoss")``.
            A callable of one argument, ``loss(output)``, needs no target: all parts of a batch are inputs then.
            None takes what the network returns: an object with ``loss`` (as transformers' models), a mapping with losses,
            or the loss itself.
        inputs: which parts of a batch the network gets: a key or place, several in the order of the arguments, or keys by
            argument name. None infers them from the first batch and logs the result.
        targets: key or place of the target, likewise.
        output: which of several outputs is compared with the target. None takes logits or the first tensor; a loss of
            the user's code, other than a subclass of a loss of torch, gets a plain tuple or mapping as the network returned it.
        data_preprocessor: see :class:`BaseModel`; lists of equal samples are stacked behind it.

    Raises:
        TypeError: ``network`` or ``loss`` is of another type.

    Examples:
        >>> model = SupervisedModel(nn.Linear(2, 1), loss=dict(type="MSELoss"))
        >>> predictions, losses = model.val_step((torch.ones(3, 2), torch.zeros(3, 1)))
        >>> predictions.batch["preds"].shape, list(model.state_dict())
        (torch.Size([3, 1]), ['weight', 'bias'])
    """

    def __init__(
        self,
        network: Any,
        loss: Any = None,
        inputs: Any = None,
        targets: str | int | None = None,
        output: str | int | None = None,
        data_preprocessor: Any = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.data_preprocessor = _Packing(self.data_preprocessor)
        self.network: nn.Module = MODELS.build(network) if isinstance(network, Mapping) else network
        if not isinstance(self.network, nn.Module):
            raise TypeError(f"network must be a torch.nn.Module or a config of one, got {type(self.network).__name__}")
        self.loss_function = build_loss(loss)
        self.output = output
        self._takes_target = self.loss_function is None or takes_target(self.loss_function)
        has_loss = self.loss_function is not None and self._takes_target
        self.reader = BatchReader(self.network, inputs, targets, has_loss=has_loss)
        self.register_state_dict_post_hook(_drop_prefix)  # type: ignore[no-untyped-call]  # untyped in torch
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]  # untyped in torch

    @property
    def shown_name(self) -> str:
        """How messages call this model: by the class of the network."""
        return type(self.network).__name__

    def forward(self, *args: Any, batch: Any = None, mode: str = "tensor", **kwargs: Any) -> Any:
        """The network's output, or what the mode asks for of a batch.

        Args:
            *args: of the network, in mode ``"tensor"``.
            batch: as the data preprocessor gives it, in the other modes.
            mode: ``"tensor"``: the network's output; ``"loss"``: the losses by name; ``"predict"``: the
                :class:`Predictions`, with the losses beside them where the batch has a target.
            **kwargs: of the network, in mode ``"tensor"``.
        """
        if mode == "tensor" and batch is None:
            return self.network(*args, **kwargs)
        positional, keywords, target = self.reader.read(batch)
        output = self.network(*positional, **keywords)
        if mode == "tensor":
            return output
        losses = self._losses(output, target)
        if mode == "loss":
            return losses or self._without_loss(output, batch)
        columns = {"preds": prediction_in(output, self.output)}
        if target is not None:
            columns["target"] = target
        predictions = Predictions(columns)
        return (predictions, losses) if losses else predictions

    def _losses(self, output: Any, target: Any) -> dict[str, Any]:
        if self.loss_function is None:
            return losses_in(output)
        if target is None and self._takes_target:
            return {}
        compared = compared_output(self.loss_function, output, self.output)
        loss = self.loss_function(compared, target) if self._takes_target else self.loss_function(compared)
        return dict(loss) if isinstance(loss, Mapping) else {"loss": loss}

    def _without_loss(self, output: Any, batch: Any) -> Any:
        """Raises the error for an output without a loss; its message says what is missing."""
        name = type(self.network).__name__
        parts = f"keys {list(batch)}" if isinstance(batch, Mapping) else f"form {type(batch).__name__}"
        if self.loss_function is not None:
            raise BatchTypeError(
                f"the loss of {name} needs a target, and the batch ({parts}) shows none: write "
                "model=dict(..., targets='the key or place of the target')"
            )
        raise NoLossError(
            f"{name} returned {_described(output)}, which holds no loss, for a batch of {parts}. Give the run a loss, "
            "loss=dict(type='CrossEntropyLoss') (any registered name or callable loss(output, target)), give the network "
            "the labels that it computes its loss from (inputs=[...]), or derive it from eng.model.BaseModel"
        )

    def checkpoint_name(self, name: str) -> str:
        """The name of a weight in checkpoints: that which it has in the network."""
        return name.removeprefix(PREFIX)

    def init_weights(self) -> None:
        """Initialises a network of eng; any other one has set its weights when it was made."""
        if isinstance(self.network, BaseModule):
            super().init_weights()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the network; see :meth:`torch.nn.Module.compile`."""
        self.network.compile(*args, **kwargs)


class _Packing(BaseDataPreprocessor):
    """The user's data preprocessor, then stacking, and the batch as the one keyword of the model's forward."""

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data: Any, training: bool = False) -> Any:
        """``{"batch": ...}`` with the batch on the device."""
        return {"batch": self.cast_data(stacked(self.preprocessor(data, training)))}


def _drop_prefix(module: nn.Module, state: Any, prefix: str, *_: Any) -> None:
    """Gives the weights the names that they have in the network."""
    for key in [key for key in state if key.startswith(prefix + PREFIX)]:
        state[prefix + key[len(prefix + PREFIX) :]] = state.pop(key)


def _add_prefix(module: nn.Module, state: Any, prefix: str, *_: Any) -> None:
    """Gives weights of the network, or of a model like this one, the names that they have in this module."""
    theirs = [name for name, _ in module.named_children() if name != PREFIX[:-1]]
    for key in [key for key in state if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if not name.startswith(PREFIX) and name.partition(".")[0] not in theirs:
            state[prefix + PREFIX + name] = state.pop(key)


def _described(output: Any) -> str:
    if isinstance(output, torch.Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {', '.join(map(str, output))}"
    return f"a {type(output).__name__}"
