"""Estimates the memory of a forward or a training step without allocating it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

# TorchDispatchMode has no public name, but torch documents this private module in its notes on extending torch.
from torch.utils._python_dispatch import TorchDispatchMode

from eng.analysis._cost import tensors_in
from eng.analysis._execute import observe, unwrap
from eng.analysis.complexity_analysis import split_inputs


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated memory of a model's tensors in bytes.

    What the allocator adds by rounding sizes up, and workspaces of libraries such as cuDNN, are not included.

    Args:
        parameter_bytes: memory of all parameters.
        buffer_bytes: memory of all buffers.
        gradient_bytes: memory of the parameter gradients (0 without backward).
        activation_bytes: memory of the tensors that autograd saves for the backward pass, parameters not included
            (0 without backward).
        peak_bytes: largest memory in use at one time, including parameters, buffers, inputs and gradients.
    """

    parameter_bytes: int
    buffer_bytes: int
    gradient_bytes: int
    activation_bytes: int
    peak_bytes: int


class LiveMemory(TorchDispatchMode):
    """Dispatch mode (torch calls it for every operator) that tracks the memory of tensors and its peak.

    Attributes:
        alive: weak reference and size in bytes of each storage that may be in use, by identity of the storage.
        saved: size in bytes of each storage that autograd saves for backward, by identity of the storage.
        kept: identities of the storages of the model's parameters and buffers.
        live_bytes: total size of the storages in `alive`.
        peak_bytes: the largest total size so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's base class has no annotations
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.saved: dict[int, int] = {}
        self.kept: set[int] = set()
        self.live_bytes = self.peak_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.see(tensors_in((args, kwargs)))
        result = func(*args, **(kwargs or {}))
        self.see(tensors_in(result))
        return result

    def see(self, tensors: list[torch.Tensor]) -> None:
        """Starts to track the storages of these tensors, if they are not tracked yet, and updates the memory peak."""
        has_new_storage = False
        for tensor in tensors:
            storage = tensor.untyped_storage()
            reference = StorageWeakRef(storage)
            if reference.cdata not in self.alive:
                self.alive[reference.cdata] = (reference, storage.nbytes())
                self.live_bytes += storage.nbytes()
                has_new_storage = True
        # `live_bytes` still includes storages that were freed. Searching for these is slow, so they are removed only if
        # the memory peak may have risen.
        if has_new_storage and self.live_bytes > self.peak_bytes:
            self._remove_freed_storages()
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _remove_freed_storages(self) -> None:
        for key in [key for key, (reference, _) in self.alive.items() if reference.expired()]:
            self.live_bytes -= self.alive.pop(key)[1]

    def keep(self, tensors: list[torch.Tensor]) -> None:
        """Records the parameters and buffers of the model, which `save` must not count as activations.

        Autograd saves references to them, which need no additional memory.
        """
        self.see(tensors)
        self.kept = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in tensors}

    def save(self, tensor: torch.Tensor) -> torch.Tensor:
        """Records a tensor that autograd saves for backward, and returns it unchanged."""
        storage = tensor.untyped_storage()
        key = StorageWeakRef(storage).cdata
        if key not in self.kept:
            self.saved[key] = storage.nbytes()
        return tensor


@contextmanager
def _watching(model: nn.Module) -> Iterator[LiveMemory]:
    """Tracks the memory of all tensors that the model uses inside the ``with`` block; yields the tracker."""
    memory = LiveMemory()

    def track_existing_tensors(module: nn.Module, args: Any, kwargs: Any) -> None:
        """Tracks the parameters, buffers and inputs of the model, which exist before its forward starts."""
        memory.keep([*module.parameters(), *module.buffers()])
        memory.see(tensors_in((args, kwargs)))

    handle = model.register_forward_pre_hook(track_existing_tensors, with_kwargs=True)
    try:
        with memory, torch.autograd.graph.saved_tensors_hooks(memory.save, lambda tensor: tensor):
            yield memory
    finally:
        handle.remove()


def estimate_memory(
    model: nn.Module,
    inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any],
    *,
    forward_kwargs: Mapping[str, Any] | None = None,
    backward: bool = False,
    batch_size: int | None = None,
) -> MemoryEstimate:
    """Estimates the memory of one forward, or of one forward and backward, in bytes.

    The model runs on meta tensors, so that even a model that does not fit into memory can be estimated.

    Args:
        model: the module, in the mode (training or evaluation) for which memory is estimated.
        inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        forward_kwargs: further keyword arguments of forward.
        backward: whether to include the backward pass (from the sum of all outputs).
        batch_size: batch size of the estimate; replaces the first dimension of every input tensor.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> estimate = estimate_memory(nn.Linear(256, 256), torch.zeros(1, 256), batch_size=64)
        >>> estimate.parameter_bytes, estimate.peak_bytes  # weight and bias; the peak adds input and output of 64 rows
        (263168, 394240)
    """
    model = unwrap(model)
    args, kwargs = split_inputs(inputs, forward_kwargs)
    if batch_size is not None:
        args, kwargs = _with_batch(args, batch_size), _with_batch(kwargs, batch_size)
    memory = observe(model, args, kwargs, _watching, backward=backward)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad] if backward else []
    return MemoryEstimate(
        parameter_bytes=sum(parameter.nbytes for parameter in model.parameters()),
        buffer_bytes=sum(buffer.nbytes for buffer in model.buffers()),
        gradient_bytes=sum(parameter.nbytes for parameter in trained),
        activation_bytes=sum(memory.saved.values()),
        peak_bytes=memory.peak_bytes,
    )


def _with_batch(value: Any, batch_size: int) -> Any:
    """Replaces all tensors in nested mappings, lists and tuples by meta tensors with another batch size.

    The batch size is the first dimension. Tensors without dimensions and other values are kept.
    """
    if isinstance(value, torch.Tensor):
        return value.new_empty((batch_size, *value.shape[1:]), device="meta") if value.dim() else value
    if isinstance(value, Mapping):
        return {key: _with_batch(item, batch_size) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_batch(item, batch_size) for item in value)
    return value
