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
    """How context parallelism splits the sequences of a batch across ranks.

    Attributes:
        size: number of ranks that share a sequence.
        inputs: maps each key of a batch whose tensor is split to the sequence dimension of that tensor. None splits
            ``input_ids``, ``labels``, ``shift_labels`` and ``position_ids`` along dimension 1, as far as a batch has
            them.
        positions: key under which position numbers, counted in the complete sequence, are added to a batch that lacks
            this key. None adds no position numbers.
    """

    size: int = 1
    inputs: Mapping[str, int] | None = None
    positions: str | None = "position_ids"


def read_context(context: int | Mapping[str, Any]) -> ContextSettings:
    """Converts the argument ``context`` of :class:`~.mesh.MeshStrategy` to :class:`ContextSettings`, with checks.

    Args:
        context: number of ranks that share a sequence, or a mapping with the attributes of :class:`ContextSettings` as
            keys; ``size`` is required.

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
    """Returns the part of a batch that one rank computes, out of the ranks that share the sequences of this batch.

    Args:
        batch: mapping from keys to tensors; values under keys that are not split are returned unchanged.
        settings: which keys are split, along which dimension, and by how many ranks.
        index: index of the rank among the ranks that share the sequences, from 0.

    Raises:
        SettingsError: the batch lacks a key to split, the value is no tensor with the named dimension, or the length of
            the sequence is not a multiple of the number of ranks.

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
    """Returns the length of dimension `dim` of a tensor, after checking that it is a multiple of `size`.

    Raises:
        SettingsError: `value` is no tensor with this dimension, or the length is not a multiple of `size`.
    """
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
    """A sharded model that trains on this rank's part of each sequence, with attention to the complete sequence.

    In validation and testing, each rank computes complete sequences.

    Args:
        module: the model.
        context: which tensors of a batch are split, and by how many ranks.
        context_group: process group of the ranks that share a sequence.
        **kwargs: arguments of :class:`eng.model.MMFullyShardedDataParallel`.
    """

    def __init__(
        self, module: nn.Module, *, context: ContextSettings, context_group: ProcessGroup, **kwargs: Any
    ) -> None:
        super().__init__(module, **kwargs)
        self._settings, self._group = context, context_group
        self._attention = SequenceAttention(context_group)
        self._weight: Any = None

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """See :meth:`eng.model.BaseModel.train_step`; the returned losses are means over the complete sequences."""
        self._attention.calls = 0
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
        """Computes the losses of this rank's part of a batch, and remembers their ``loss_weight`` for logging."""
        losses = run_forward(self, self._part_of(data), mode)
        self._weight = losses.get(WEIGHT_KEY) if isinstance(losses, Mapping) else None
        return losses

    def _part_of(self, data: Any) -> Any:
        """Returns this rank's part of a batch; the batch must be a mapping.

        A SupervisedModel gets its batch as ``data["batch"]``, so that only this value is split.
        """
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
        """Raises an error for a network that gets no position numbers, or shifts labels inside a part of a sequence.

        Shifting inside a part would drop the target of the last position of each part.
        """
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
        """Raises an error if the model's forward takes no position numbers: each rank would count positions from 0."""
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
        """Averages the logged values over the ranks that share a sequence, weighted by each rank's ``loss_weight``.

        A rank without ``loss_weight`` has weight 1; a rank with weight 0 does not count, even if its value is NaN.
        """
        names = list(log_vars)
        device = log_vars[names[0]].device
        weight = torch.as_tensor(1.0 if self._weight is None else self._weight, dtype=torch.float32, device=device)
        values = torch.stack([log_vars[name].float() for name in names])
        total = torch.cat([torch.where(weight == 0, 0.0, values * weight), weight.reshape(1)])
        torch_dist.all_reduce(total, group=self._group)
        means = total[:-1] / total[-1]
        return {name: means[number].to(log_vars[name].dtype) for number, name in enumerate(names)}


def _takes(module: nn.Module, name: str) -> bool:
    """Whether a model's ``forward`` has a parameter of this name, or accepts any name through ``**kwargs``."""
    parameters = inspect.signature(module.forward).parameters
    return name in parameters or any(item.kind is item.VAR_KEYWORD for item in parameters.values())
