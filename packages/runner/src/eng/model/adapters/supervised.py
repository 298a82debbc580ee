"""SupervisedModel: makes any ``nn.Module`` a model that a Runner can train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

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
    """Combines a network and a loss into a model with ``train_step``, ``val_step`` and ``test_step``.

    The Runner wraps a model without ``train_step`` in this class. The names in the state dict are those of the network,
    so checkpoints can be loaded into the network alone, and weights of the network can be loaded into this model.

    Args:
        network: any module, or the config of a module.
        loss: ``loss(output, target)``: a callable, a registered name, or a config such as
            ``dict(type="CrossEntropyLoss")``. A callable with one argument, ``loss(output)``, needs no target; all
            parts of a batch are inputs then. None takes the loss from the network's output: an object with an attribute
            ``loss`` (models of transformers), a mapping with losses, or the loss itself.
        inputs: the parts of a batch that are inputs of the network: a key or position, a list of them in the order of
            the arguments, or a mapping from argument names to keys. None infers them from the first batch and logs the
            result.
        targets: key or position of the target in a batch. None infers the target from usual names such as ``labels``,
            or takes the last part of a tuple or list.
        output: key or position of the part of the network's output that is compared with the target. None selects
            logits or the first tensor; but a loss from the user's own code, unless the loss is a subclass of a torch
            loss, gets a plain tuple or mapping as the network returned it.
        data_preprocessor: module or config that prepares batches; see :class:`BaseModel`. Lists of samples are stacked
            into tensors after the data preprocessor has run.

    Raises:
        TypeError: ``network`` or ``loss`` has the wrong type.

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
        if isinstance(network, Mapping):
            network = MODELS.build(network)
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be a torch.nn.Module or a config of one, got {type(network).__name__}")
        self.network: nn.Module = network
        self.loss_function = build_loss(loss)
        self.output = output
        self._takes_target = self.loss_function is None or takes_target(self.loss_function)
        # If a separate loss function takes the target, the network does not get it as an argument.
        has_loss = self.loss_function is not None and self._takes_target
        self.reader = BatchReader(self.network, inputs, targets, has_loss=has_loss)
        self.register_state_dict_post_hook(_drop_prefix)  # type: ignore[no-untyped-call]  # untyped in torch
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]  # untyped in torch

    @property
    def shown_name(self) -> str:
        """The class name of the network, which messages show instead of ``SupervisedModel``."""
        return type(self.network).__name__

    def forward(self, *args: Any, batch: Any = None, mode: str = "tensor", **kwargs: Any) -> Any:
        """Returns the network's output, the losses or the predictions for a batch, depending on the mode.

        Args:
            *args: positional arguments of the network, in mode ``"tensor"`` without ``batch``.
            batch: a batch, as the data preprocessor returns it.
            mode: ``"tensor"``: the network's output; ``"loss"``: the losses by name; ``"predict"``: the
                :class:`Predictions`, or, if the batch has a target, the predictions and the losses.
            **kwargs: keyword arguments of the network, in mode ``"tensor"`` without ``batch``.
        """
        if mode == "tensor" and batch is None:
            return self.network(*args, **kwargs)
        positional, keywords, target = self.reader.read(batch)
        output = self.network(*positional, **keywords)
        if mode == "tensor":
            return output
        losses = self._losses(output, target)
        if mode == "loss":
            if not losses:
                self._raise_no_loss(output, batch)
            return losses
        columns = {"preds": prediction_in(output, self.output)}
        if target is not None:
            columns["target"] = target
        predictions = Predictions(columns)
        if losses:
            return predictions, losses
        return predictions

    def _losses(self, output: Any, target: Any) -> dict[str, Any]:
        """Returns the losses by name: from the loss function, or without one, those that the network returned.

        The dict is empty if the loss function needs a target and the batch has none, as in a test set.
        """
        if self.loss_function is None:
            return losses_in(output)
        if target is None and self._takes_target:
            return {}
        arguments = [compared_output(self.loss_function, output, self.output)]
        if self._takes_target:
            arguments.append(target)
        loss = self.loss_function(*arguments)
        if isinstance(loss, Mapping):
            return dict(loss)
        return {"loss": loss}

    def _raise_no_loss(self, output: Any, batch: Any) -> NoReturn:
        """Raises the error for a training batch without a loss; the message says what is missing.

        Either a loss function is set but the batch has no target, or no loss function is set and the network returned
        no loss.
        """
        name = type(self.network).__name__
        parts = f"form {type(batch).__name__}"
        if isinstance(batch, Mapping):
            parts = f"keys {list(batch)}"
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
        """Returns the name of a weight in checkpoints: the name without ``network.``, as in the plain network."""
        return name.removeprefix(PREFIX)

    def init_weights(self) -> None:
        """Initialises the network's weights if the network is a :class:`BaseModule`.

        Other networks have no ``init_cfg``; their constructors have initialised the weights.
        """
        if isinstance(self.network, BaseModule):
            super().init_weights()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the network; see :meth:`torch.nn.Module.compile`."""
        self.network.compile(*args, **kwargs)


class _Packing(BaseDataPreprocessor):
    """The data preprocessor of a :class:`SupervisedModel`, which wraps the user's data preprocessor.

    The result of the user's preprocessor is stacked into tensors, moved to the model's device, and returned under the
    key ``batch``, so that the model's forward gets the batch as its argument ``batch``.
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data: Any, training: bool = False) -> Any:
        """Returns the preprocessed batch on the model's device, in a dict with the only key ``batch``."""
        return {"batch": self.cast_data(stacked(self.preprocessor(data, training)))}


def _drop_prefix(module: nn.Module, state: Any, prefix: str, *_: Any) -> None:
    """Removes ``network.`` from the names in a state dict, so that checkpoints use the names of the plain network.

    torch calls this hook at the end of ``state_dict()``.
    """
    for key in [key for key in state if key.startswith(prefix + PREFIX)]:
        state[prefix + key[len(prefix + PREFIX) :]] = state.pop(key)


def _add_prefix(module: nn.Module, state: Any, prefix: str, *_: Any) -> None:
    """Adds ``network.`` to the names in a state dict with the names of the plain network.

    torch calls this hook at the start of ``load_state_dict()``. Names that begin with ``network.`` or with the name of
    another child module stay unchanged.
    """
    other_children = [name for name, _ in module.named_children() if name != PREFIX[:-1]]
    for key in [key for key in state if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if not name.startswith(PREFIX) and name.partition(".")[0] not in other_children:
            state[prefix + PREFIX + name] = state.pop(key)


def _described(output: Any) -> str:
    if isinstance(output, torch.Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {', '.join(map(str, output))}"
    return f"a {type(output).__name__}"
