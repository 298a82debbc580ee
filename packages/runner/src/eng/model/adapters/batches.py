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
    """The roles of a batch's parts, for all batches with the same keys or the same length.

    Attributes:
        positional: keys or positions of the parts that are positional arguments of the network.
        keywords: for each keyword argument of the network the key of its part.
        target: key or position of the target; None if the batch has none.
        takes_batch: whether the network takes the batch itself as its only argument.
    """

    positional: tuple[Key, ...] = ()
    keywords: Mapping[str, Key] = field(default_factory=dict)
    target: Key | None = None
    takes_batch: bool = False

    def __str__(self) -> str:
        target = "none"
        if self.target is not None:
            target = f"batch[{self.target!r}]"
        if self.takes_batch:
            return f"the batch; target {target}"
        names = [f"batch[{key!r}]" for key in self.positional]
        names += [f"{name}=batch[{key!r}]" for name, key in self.keywords.items()]
        return f"inputs {', '.join(names) or 'none'}; target {target}"


class BatchReader:
    """Splits batches into the inputs of a network and the target.

    Args:
        network: the network; the names of its forward's arguments decide which keys of a mapping are inputs.
        inputs: a key or position, a list of them in the order of the arguments, or a mapping from argument names to
            keys. None infers the inputs from the first batch with the same keys (or length), and logs the result.
        targets: key or position of the target. None infers it in the same way.
        has_loss: whether a loss compares outputs and target; if so, the target is not an input.
    """

    def __init__(self, network: nn.Module, inputs: Any, targets: Key | None, *, has_loss: bool) -> None:
        self.inputs = inputs
        self.targets = targets
        self.has_loss = has_loss
        self._name = type(network).__name__
        self._arguments = _arguments_of(network)
        self._readings: dict[Any, Reading] = {}

    def read(self, batch: Any) -> tuple[list[Any], dict[str, Any], Any]:
        """Returns the positional arguments, the keyword arguments and the target (None without one) of a batch.

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
        """Returns the batch as a mapping or a sequence; a named tuple with a target's name becomes a mapping."""
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
        """Determines the roles of a batch's parts, from ``inputs`` and ``targets`` or by inference."""
        keys: list[Key] = list(range(len(parts)))
        if isinstance(parts, Mapping):
            keys = list(parts)
        # A missing target is no error, since batches of a test set may have none.
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
        """Returns the key of the target: ``targets``, a usual name of a target, or the last position of a sequence."""
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
        """Infers the inputs from the names of the network's arguments and the keys of the batch."""
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
        """Whether the network's only argument is the batch itself: its name says so, and no part has the same name."""
        if len(self._arguments.names) != 1 or self._arguments.names[0] not in BATCH_NAMES or len(parts) < 2:
            return False
        if isinstance(parts, Mapping):
            return self._arguments.names[0] not in parts
        return not self.has_loss

    def _check_count(self, places: list[Key], keys: list[Key]) -> None:
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
        """Whether the argument at a position may take the target: it has the name of a target, or no default value."""
        if position >= len(self.names):
            return self.takes_more
        return self.names[position] in TARGET_NAMES or self.names[position] in self.required


def _arguments_of(network: Any) -> _Arguments:
    """Returns the arguments of a network's forward; for a PEFT model those of its base model."""
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
    """Stacks lists of tensors, arrays or numbers in a batch, one item per sample, into tensors.

    The default collate function of configs, ``pseudo_collate``, does not stack, but a plain network needs tensors. If
    the batch is a list or tuple, its items are the arguments of the network, each with the values of all samples.

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
    """Stacks the values of all samples into a tensor; None if they differ in shape or are no numbers."""
    if not values or not all(isinstance(value, (torch.Tensor, np.ndarray, np.generic, int, float)) for value in values):
        return None
    if all(isinstance(value, (int, float)) for value in values):
        return torch.tensor(values)
    tensors = [torch.as_tensor(value) for value in values]
    if any(tensor.shape != tensors[0].shape or tensor.dtype != tensors[0].dtype for tensor in tensors):
        return None
    return torch.stack(tensors)
