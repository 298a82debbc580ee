"""Determine which parts of a batch are the inputs of a network, and which part is the target of its loss."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from eng.logging.words import counted
from eng.model.errors import BatchTypeError

logger = logging.getLogger(__name__)

TARGET_NAMES = (
    "labels", "label", "targets", "target", "y", "gt_label", "gt_labels", "gt", "next_sentence_label", "mask", "masks",
)  # fmt: skip
INPUT_NAMES = (
    "inputs", "input", "x", "images", "image", "img", "imgs", "pixel_values", "input_ids", "features", "data", "text",
)  # fmt: skip
BATCH_NAMES = ("batch", "data_batch", "sample", "samples")
Key = str | int
_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Reading:
    """Says which parts of a batch are the inputs of a network, and which part is the target of the loss.

    A part is a value of a dict batch, or an item of a tuple or list batch. One Reading applies to all dict batches with
    the same keys, or to all tuple and list batches with the same length.

    Attributes:
        positional: keys or positions of the parts that are passed as positional arguments of the network, in order.
        keywords: for each keyword argument of the network, the key of the part that is passed.
        target: key or position of the target; None if the batch has no target.
        takes_batch: whether the network gets the complete batch as its only argument.
    """

    positional: tuple[Key, ...] = ()
    keywords: Mapping[str, Key] = field(default_factory=dict)
    target: Key | None = None
    takes_batch: bool = False

    def __str__(self) -> str:
        """Returns the text for the log, such as ``inputs batch[0]; target batch[1]``."""
        target = "none"
        if self.target is not None:
            target = f"batch[{self.target!r}]"
        if self.takes_batch:
            return f"the batch; target {target}"
        names = [f"batch[{key!r}]" for key in self.positional]
        names += [f"{name}=batch[{key!r}]" for name, key in self.keywords.items()]
        return f"inputs {', '.join(names) or 'none'}; target {target}"


class BatchReader:
    """Splits batches into the inputs of a network and the target of the loss.

    Args:
        network: the network; the argument names of its ``forward`` decide which keys of a dict batch are inputs.
        inputs: key or position of the network's input in a batch, a list of keys or positions in the order of the
            network's arguments, or a mapping from argument names to keys. None infers the inputs when a batch with new
            keys (or a new length) arrives, and logs the result.
        targets: key or position of the target in a batch. None infers the target from usual names such as ``labels``,
            or takes the last part of a tuple or list.
        has_loss: whether a loss function outside of the network compares the network's output with the target; if so,
            the target is not passed to the network.
    """

    def __init__(self, network: nn.Module, inputs: Any, targets: Key | None, *, has_loss: bool) -> None:
        self.inputs = inputs
        self.targets = targets
        self.has_loss = has_loss
        self._name = type(network).__name__
        self._arguments = _arguments_of(network)
        self._readings: dict[Any, Reading] = {}

    def read(self, batch: Any) -> tuple[list[Any], dict[str, Any], Any]:
        """Returns the network's positional arguments, its keyword arguments, and the target, taken from a batch.

        The target is None if the batch has no target, as in a test set.

        Raises:
            BatchTypeError: the inputs cannot be inferred from the batch, or a key of ``inputs`` is missing (a
                TypeError).
        """
        parts = self._parts_of(batch)
        form: Any = len(parts)
        if isinstance(parts, Mapping):
            form = tuple(parts)
        reading = self._readings.get(form)
        if reading is None:
            reading = self._readings[form] = self._reading_of(parts)
            logger.info("%s is called with %s", self._name, reading)
        target = None
        if reading.target is not None:
            target = parts[reading.target]
        if reading.takes_batch:
            return [batch], {}, target
        keywords = {name: parts[key] for name, key in reading.keywords.items()}
        return [parts[key] for key in reading.positional], keywords, target

    def _parts_of(self, batch: Any) -> Any:
        """Returns the batch as a mapping or a sequence, whose values are the parts of the batch.

        A dataclass object, and a named tuple in which a field has the name of a target, become a dict by field names.
        A single object that is no mapping and no sequence becomes a tuple with one part.
        """
        if isinstance(batch, Mapping):
            return batch
        if is_dataclass(batch) and not isinstance(batch, type):
            return {item.name: getattr(batch, item.name) for item in fields(batch)}
        names = getattr(batch, "_fields", ())
        uses_positions = any(isinstance(key, int) for key in (*_keys_in(self.inputs), self.targets))
        if names and not uses_positions and any(name in TARGET_NAMES for name in (*names, self.targets)):
            return dict(zip(names, batch, strict=True))
        if isinstance(batch, (list, tuple)):
            return batch
        return (batch,)

    def _reading_of(self, parts: Any) -> Reading:
        """Returns which parts of a batch are inputs and which is the target.

        ``inputs`` and ``targets`` of the BatchReader decide; what the user left out is inferred from the batch.
        """
        keys: list[Key] = list(range(len(parts)))
        if isinstance(parts, Mapping):
            keys = list(parts)
        # A batch without the target is accepted, since a test set may have no labels; a missing input is an error.
        for key in _keys_in(self.inputs):
            if key not in keys:
                raise BatchTypeError(f"inputs={self.inputs!r} of {self._name}: {key!r} is missing; {_described(keys)}")
        target = self._target(keys)
        if isinstance(self.inputs, Mapping):
            return Reading(keywords=dict(self.inputs), target=target)
        if self.inputs is not None:
            return Reading(positional=tuple(_keys_in(self.inputs)), target=target)
        return self._infer(parts, keys, target)

    def _target(self, keys: list[Key]) -> Key | None:
        """Returns the key of the target among the batch's ``keys``; None if the batch has no target.

        A key that the user set (``targets``) is the only candidate. Otherwise the first usual name of a target, such as
        ``labels``, is used, or the last position of a batch that is a tuple or list with several parts.
        """
        if self.targets is not None:
            if self.targets in keys:
                return self.targets
            return None
        names = [name for name in TARGET_NAMES if name in keys]
        if names:
            return names[0]
        if len(keys) > 1 and isinstance(keys[0], int):
            return keys[-1]
        return None

    def _infer(self, parts: Any, keys: list[Key], target: Key | None) -> Reading:
        """Infers which parts of a batch are inputs of the network, where the user has not set ``inputs``.

        The parts of a tuple or list are passed in their order, without the target. For a mapping, in this order: keys
        that are argument names of the network; all keys, if the network takes ``**kwargs``; a single tensor, or the
        tensor with a usual name such as ``images``. A batch that none of these rules fits raises BatchTypeError.
        """
        if self._takes_batch(parts):
            return Reading(target=target, takes_batch=True)
        if not isinstance(parts, Mapping):
            places = [key for key in keys if key != target]
            if not self.has_loss and target is not None and self._arguments.takes_target(len(places)):
                places.append(target)
            self._check_count(places, keys)
            return Reading(positional=tuple(places), target=target)
        candidates = [key for key in keys if not (self.has_loss and key == target)]
        named: dict[str, Key] = {str(key): key for key in candidates if key in self._arguments.names}
        if named and not self.has_loss and target is not None and target not in named:
            label_arguments = [name for name in TARGET_NAMES if name in self._arguments.names and name not in named]
            named.update((name, target) for name in label_arguments[:1])
        if named and self._arguments.missing(named) == []:
            return Reading(keywords=named, target=target)
        if self._arguments.takes_any and not named:
            return Reading(keywords={str(key): key for key in candidates}, target=target)
        tensors = [key for key in candidates if key != target and _is_numeric(parts[key])]
        common = [name for name in INPUT_NAMES if name in tensors]
        single: list[Key] = [*common[:1]]
        if len(tensors) == 1:
            single = tensors
        if single and len(self._arguments.required) <= 1:
            return Reading(positional=tuple(single), target=target)
        raise BatchTypeError(
            f"which parts of the batch are the inputs of {self._name}.forward({', '.join(self._arguments.names)})? "
            f"{_described(keys)}. Write model=dict(..., inputs={keys[:1]!r}, targets={(target or keys[-1])!r}) with the right "
            "keys, in the order of the arguments"
        )

    def _takes_batch(self, parts: Any) -> bool:
        """Whether the network takes the complete batch as its only argument.

        This requires a single argument with a name such as ``batch``, and a batch of several parts, in which no key
        equals the name. A tuple or list is split all the same if a loss outside of the network needs the target.
        """
        if len(self._arguments.names) != 1 or self._arguments.names[0] not in BATCH_NAMES or len(parts) < 2:
            return False
        if isinstance(parts, Mapping):
            return self._arguments.names[0] not in parts
        return not self.has_loss

    def _check_count(self, places: list[Key], keys: list[Key]) -> None:
        """Raises an error if the network's forward cannot take the parts at ``places`` as positional arguments."""
        arguments = self._arguments
        if arguments.takes_more or len(arguments.required) <= len(places) <= len(arguments.names):
            return
        raise BatchTypeError(
            f"{self._name}.forward({', '.join(arguments.names)}) does not take {len(places)} inputs; {_described(keys)}, of which "
            f"the last is the target. Write model=dict(..., inputs=[0], targets={keys[-1]!r}) with the right places"
        )


@dataclass(frozen=True)
class _Arguments:
    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool
    takes_more: bool

    def missing(self, arguments: Mapping[str, Any]) -> list[str]:
        return [name for name in self.required if name not in arguments]

    def takes_target(self, position: int) -> bool:
        """Whether the network's argument at a position can be the target, for a network that computes its own loss.

        The argument must have a usual name of a target, such as ``labels``, or no default value.
        """
        if position >= len(self.names):
            return self.takes_more
        return self.names[position] in TARGET_NAMES or self.names[position] in self.required


def _arguments_of(network: Any) -> _Arguments:
    """Returns the names of the arguments of a network's ``forward``, and which of them have no default value.

    The ``forward`` of a PEFT model takes ``*args, **kwargs``, so the arguments of its base model are returned instead.
    """
    base = network
    if hasattr(network, "get_base_model"):
        base = network.get_base_model()
    parameters = list(inspect.signature(base.forward).parameters.values())
    named = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY, parameter.POSITIONAL_ONLY)
    ]
    return _Arguments(
        names=tuple(parameter.name for parameter in named),
        required=tuple(parameter.name for parameter in named if parameter.default is _EMPTY),
        takes_any=any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
        takes_more=any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters),
    )


def _keys_in(inputs: Any) -> list[Key]:
    """Returns the keys or positions that the setting ``inputs`` names: a single one, a list, or a mapping's values."""
    if inputs is None:
        return []
    if isinstance(inputs, Mapping):
        return list(inputs.values())
    if isinstance(inputs, (str, int)):
        return [inputs]
    return list(inputs)


def _described(keys: Sequence[Key]) -> str:
    if keys and isinstance(keys[0], str):
        return f"the batch has the keys {', '.join(map(repr, keys))}"
    return f"the batch has {counted(len(keys), 'part')}"


def _is_numeric(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], torch.Tensor)
    )


def stacked(value: Any) -> Any:
    """Returns a batch in which each list of per-sample tensors, arrays or numbers is stacked into one tensor.

    ``pseudo_collate``, the default collate function of dataloader configs, returns lists with one item per sample, but
    a plain network needs tensors. A batch that is a list or tuple is not stacked itself: its items are the arguments of
    the network, and each item that is a list of per-sample values is stacked. Lists of texts, and of tensors that
    differ in shape, stay lists.

    Examples:
        >>> stacked({"x": [torch.ones(2), torch.ones(2)], "y": (0, 1), "name": ["a", "b"]})["y"]
        tensor([0, 1])
    """
    if isinstance(value, (list, tuple)):
        items = [_samples(item) for item in value]
        if isinstance(value, list):
            return items
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return tuple(items)
    return _samples(value)


def _samples(value: Any) -> Any:
    """Returns a part of a batch; each list of per-sample values, also in nested dicts, is stacked into a tensor.

    Lists whose values cannot be stacked stay lists; arrays of numbers become tensors.
    """
    if isinstance(value, Mapping):
        return {key: _samples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        column = _column(value)
        if column is None:
            return [_samples(item) for item in value]
        return column
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value)
    return value


def _column(values: Sequence[Any]) -> torch.Tensor | None:
    """Returns a tensor with one row per sample; None if the values are no numbers, or differ in shape or dtype."""
    if not values or not all(isinstance(value, (torch.Tensor, np.ndarray, np.generic, int, float)) for value in values):
        return None
    if all(isinstance(value, (int, float)) for value in values):
        return torch.tensor(values)
    tensors = [torch.as_tensor(value) for value in values]
    if any(tensor.shape != tensors[0].shape or tensor.dtype != tensors[0].dtype for tensor in tensors):
        return None
    return torch.stack(tensors)
