"""Copy a checkpoint to host memory, so that training can continue while the copy is written."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch

from eng.device import pins_memory, record_event

from .torch_internals import module_versions, set_module_versions

_IMMUTABLE = (str, bytes, int, float, bool, complex, type(None), torch.device, torch.dtype, torch.Size)


class SnapshotBuffers:
    """Copies checkpoints (nested dicts with tensors) to host memory; the next copy reuses the memory of the previous.

    Tensors of a GPU are copied into pinned memory, so that the copy runs beside training. A copy is valid until the
    next call of :meth:`take`, which overwrites it.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[Any, ...], torch.Tensor] = {}
        self._used: set[tuple[Any, ...]] = set()
        self._events: list[Any] = []

    def take(self, state: Any) -> Any:
        """Returns a copy of `state`; copies from a GPU may be incomplete until :meth:`wait` returns."""
        copied: dict[tuple[Any, ...], torch.Tensor] = {}
        self._used = set()
        result = self._copy(state, (), copied)
        self._buffers = {key: buffer for key, buffer in self._buffers.items() if key in self._used}
        devices = {key[-1] for key in self._used}
        self._events = [record_event(device) for device in devices if pins_memory(device)]
        return result

    def wait(self) -> None:
        """Waits until the copies from GPU to host memory that the last call of :meth:`take` started are complete."""
        for event in self._events:
            event.synchronize()

    def _copy(self, value: Any, path: tuple[Any, ...], copied: dict[tuple[Any, ...], torch.Tensor]) -> Any:
        """Copies a nested state.

        Args:
            value: the part of the state to copy.
            path: keys and indices that lead from the state to `value`. The buffer that a tensor was copied into by
                the previous copy is looked up by this path.
            copied: the buffers of this copy so far, by the memory address, dtype and shape of the copied tensor, so that
                tied weights are copied once.
        """
        if isinstance(value, torch.Tensor):
            return self._copy_tensor(value, path, copied)
        if isinstance(value, _IMMUTABLE):
            return value
        if type(value) in (dict, OrderedDict):
            items = ((key, self._copy(item, (*path, key), copied)) for key, item in value.items())
            copied_mapping = type(value)(items)
            versions = module_versions(value)
            if versions is not None:
                set_module_versions(copied_mapping, copy.deepcopy(versions))
            return copied_mapping
        if type(value) in (list, tuple):
            return type(value)(self._copy(item, (*path, index), copied) for index, item in enumerate(value))
        return copy.deepcopy(value)

    def _copy_tensor(
        self, tensor: torch.Tensor, path: tuple[Any, ...], copied: dict[tuple[Any, ...], torch.Tensor]
    ) -> Any:
        """Copies a tensor into the host buffer that the previous copy used for the tensor at the same path.

        A new buffer is allocated if there is no such buffer with the tensor's shape and dtype.
        """
        tensor = tensor.detach()
        # Tied weights are tensors on the same memory. They get the same buffer, so that they are also tied in the file.
        identity = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and identity in copied:
            return copied[identity]
        key = (*path, tensor.dtype, tuple(tensor.shape), tensor.device.type)
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pins_memory(tensor.device))
            self._buffers[key] = buffer
        self._used.add(key)
        buffer.copy_(tensor, non_blocking=True)
        copied[identity] = buffer
        return buffer
