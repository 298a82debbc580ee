"""Context parallelism: each rank trains on a part of every sequence of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as torch_dist
from torch import nn
from torch.distributed import ProcessGroup

from eng.checkpoint.unwrap import model_name
from eng.model import MMFullyShardedDataParallel, SupervisedModel
from eng.model._losses import WEIGHT_KEY
from eng.model._steps import run_forward

from ..errors import SettingsError
from .context_attention import SequenceAttention

_USUAL_INPUTS = {"input_ids": 1, "labels": 1, "shift_labels": 1, "position_ids": 1}
_KEYS = ("size", "inputs", "positions")


@dataclass(frozen=True)
class ContextSettings:
    """How a mesh splits sequences.

    Attributes:
        size: ranks that share a sequence.
        inputs: keys of a batch whose tensors are split, and the dimension that is the sequence. None takes dimension 1 of
            those of ``input_ids``, ``labels``, ``shift_labels`` and ``position_ids`` that a batch has.
        positions: key under which the model gets the number of each position in the whole sequence, where a batch does not
            have it. None gives none.
    """

    size: int = 1
    inputs: Mapping[str, int] | None = None
    positions: str | None = "position_ids"


def read_context(context: int | Mapping[str, Any]) -> ContextSettings:
    """The settings in the argument ``context`` of :class:`~.mesh.MeshStrategy`.

    Args:
        context: ranks that share a sequence, or a mapping with ``size`` and the other attributes of :class:`ContextSettings`.

    Raises:
        SettingsError: a key is unknown, ``size`` is no number above 0, or ``inputs`` is no mapping to dimensions.
    """
    options = dict(context) if isinstance(context, Mapping) else {"size": context}
    unknown = [key for key in options if key not in _KEYS]
    if unknown or "size" not in options:
        raise SettingsError(
            f"context takes the keys {', '.join(_KEYS)}, of which size is needed, got {sorted(options)}"
        )
    settings = ContextSettings(**options)
    if not isinstance(settings.size, int) or isinstance(settings.size, bool) or settings.size < 1:
        raise SettingsError(f"context: size is a number above 0, got {settings.size!r}")
    inputs = settings.inputs
    if inputs is not None and not (isinstance(inputs, Mapping) and inputs and _are_dimensions(inputs.values())):
        raise SettingsError(
            "context: inputs names keys of a batch and the dimension of each that is the sequence, as in "
            f"inputs=dict(input_ids=1, labels=1), got {inputs!r}"
        )
    return settings


def _are_dimensions(values: Iterable[object]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)


def split_batch(batch: Mapping[str, Any], settings: ContextSettings, index: int) -> dict[str, Any]:
    """The part of a batch that one of the ranks sharing its sequences computes.

    Args:
        batch: tensors by key, and anything else, which stays as it is.
        settings: what is split.
        index: number of the rank among them.

    Raises:
        SettingsError: a key is missing, is no tensor with that dimension, or its length cannot be divided.

    Examples:
        >>> part = split_batch({"input_ids": torch.arange(6)[None]}, ContextSettings(size=2), 1)
        >>> part["input_ids"], part["position_ids"]
        (tensor([[3, 4, 5]]), tensor([[3, 4, 5]]))
    """
    inputs = settings.inputs
    if inputs is None:
        inputs = {key: dim for key, dim in _USUAL_INPUTS.items() if key in batch}
    missing = [key for key in inputs if key not in batch]
    if missing or not inputs:
        raise SettingsError(
            f"context parallelism: the batch has the keys {', '.join(map(repr, batch))} and lacks "
            f"{', '.join(map(repr, missing or _USUAL_INPUTS))}; name the keys that hold sequences: "
            f"context=dict(size={settings.size}, inputs=dict(input_ids=1, labels=1))"
        )
    part = dict(batch)
    for key, dim in inputs.items():
        length = _length(key, batch[key], dim, settings.size) // settings.size
        part[key] = batch[key].narrow(dim, index * length, length)
    if settings.positions is not None and settings.positions not in batch:
        key, dim = next(iter(inputs.items()))
        tensor = part[key]
        length = tensor.size(dim)
        numbers = torch.arange(index * length, (index + 1) * length, device=tensor.device)
        part[settings.positions] = numbers.expand(*tensor.shape[:dim], length)
    return part


def _length(key: str, value: object, dim: int, size: int) -> int:
    """Length of a sequence that can be divided."""
    if not isinstance(value, torch.Tensor) or value.dim() <= dim:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise SettingsError(
            f"context parallelism splits dimension {dim} of {key!r}, which is {shape}: give a tensor of the whole batch "
            "(collate_fn=dict(type='default_collate')), and its dimension in context=dict(inputs=...)"
        )
    length = value.size(dim)
    if length % size:
        raise SettingsError(
            f"context parallelism: {key!r} has {length} positions in dimension {dim}, which {size} ranks cannot share evenly: "
            f"pad the sequences to a multiple of {size}"
        )
    return length


class ContextParallelModel(MMFullyShardedDataParallel):
    """A sharded model that trains on this rank's part of each sequence, with attention over all of it.

    Validation and testing compute whole sequences on each rank.

    Args:
        module: the model.
        context: what is split.
        context_group: the ranks that share a sequence.
        **kwargs: those of :class:`eng.model.MMFullyShardedDataParallel`.
    """

    def __init__(
        self, module: nn.Module, *, context: ContextSettings, context_group: ProcessGroup, **kwargs: Any
    ) -> None:
        super().__init__(module, **kwargs)
        self._settings, self._group = context, context_group
        self._attention = SequenceAttention(context_group)
        self._weight: Any = None

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """See :meth:`eng.model.BaseModel.train_step`; the losses are those of whole sequences."""
        with self._attention:
            log_vars = super().train_step(data, optim_wrapper)
        if not self._attention.calls:
            raise SettingsError(
                f"context parallelism: a training step of {model_name(self)} called no "
                "torch.nn.functional.scaled_dot_product_attention, so that its positions do not see those of other ranks. "
                "Models of transformers take attn_implementation='sdpa'"
            )
        return self._over_the_group(log_vars)

    def _run_forward(self, data: Any, mode: str) -> Any:
        """The losses of this rank's part of a batch."""
        losses = run_forward(self, self._part_of(data), mode)
        self._weight = losses.get(WEIGHT_KEY) if isinstance(losses, Mapping) else None
        return losses

    def _part_of(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise SettingsError(
                f"context parallelism splits batches that are mappings, by key; the data_preprocessor gave a {type(data).__name__}"
            )
        if not isinstance(self.module, SupervisedModel):
            part = split_batch(data, self._settings, torch_dist.get_rank(self._group))
            self._check_positions(self.module)
            return part
        batch = data["batch"]
        if not isinstance(batch, Mapping):
            raise SettingsError(
                f"context parallelism splits batches that are mappings, by key; got a {type(batch).__name__}"
            )
        part = split_batch(batch, self._settings, torch_dist.get_rank(self._group))
        self._check_supervised(self.module, part)
        return {"batch": part}

    def _check_supervised(self, model: SupervisedModel, part: Mapping[str, Any]) -> None:
        """Refuses a network that does not get its positions, or that moves labels inside a part of a sequence."""
        self._check_positions(model.network)
        name, inputs = self._settings.positions, model.reader.inputs
        names = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
        if isinstance(inputs, (list, tuple)):
            names = list(inputs)
        if name is not None and inputs is not None and name not in names:
            raise SettingsError(
                f"context parallelism gives a model the number of each position in the whole sequence: add {name!r} to "
                f"inputs={inputs!r} of the model"
            )
        their_loss = getattr(getattr(model.network, "loss_function", None), "__name__", "")
        if model.loss_function is None and their_loss == "ForCausalLMLoss" and "labels" in part:
            raise SettingsError(
                "context parallelism: a causal language model of transformers moves `labels` inside this rank's part of the "
                "sequence, which loses the target of the last position of each part: put labels into the batch that are moved "
                "by one position, and give the run a loss of its own, loss=function(logits, labels) (docs/scale.md)"
            )

    def _check_positions(self, module: nn.Module) -> None:
        """Refuses a model that would count its positions from 0 on each rank."""
        name = self._settings.positions
        if name is None or _takes(module, name):
            return
        raise SettingsError(
            f"context parallelism gives a model the number of each position in the whole sequence, and "
            f"{model_name(module)}.forward takes no {name!r}: add it, name another argument with "
            f"context=dict(size={self._settings.size}, positions='...'), or write positions=None for a model that does not "
            "number positions itself"
        )

    def _over_the_group(self, log_vars: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What is logged, as means over the parts of a sequence, which count by their ``loss_weight``."""
        names = list(log_vars)
        device = log_vars[names[0]].device
        weight = torch.as_tensor(1.0 if self._weight is None else self._weight, dtype=torch.float32, device=device)
        values = torch.stack([log_vars[name].float() for name in names])
        total = torch.cat([torch.where(weight == 0, 0.0, values * weight), weight.reshape(1)])
        torch_dist.all_reduce(total, group=self._group)
        means = total[:-1] / total[-1]
        return {name: means[number].to(log_vars[name].dtype) for number, name in enumerate(names)}


def _takes(module: nn.Module, name: str) -> bool:
    """Whether the forward of a model has an argument of that name, or takes any."""
    parameters = inspect.signature(module.forward).parameters
    return name in parameters or any(item.kind is item.VAR_KEYWORD for item in parameters.values())
