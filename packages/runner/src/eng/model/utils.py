"""Small things around models: batches of tensors, normalisation layers, parameters without a gradient."""

from __future__ import annotations

import importlib
import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._sync_batch_norm import CpuSyncBatchNorm
from .errors import ImageShapeError, ModelTypeError

logger = logging.getLogger(__name__)


def stack_batch(tensor_list: Sequence[torch.Tensor], pad_size_divisor: int = 1, pad_value: float = 0) -> torch.Tensor:
    """Images of different sizes in one tensor, padded at the bottom and right.

    Args:
        tensor_list: ``(C, H, W)`` each, or with more dimensions behind C; the same type and number of channels.
        pad_size_divisor: all sizes but C become multiples of it.
        pad_value: the padding.

    Returns:
        ``(N, C, H, W)`` of the largest sizes.

    Raises:
        TypeError: it is not a sequence of tensors.
        ImageShapeError: it is empty, or the dimensions or channels differ.
        ValueError: ``pad_size_divisor`` is below 1.

    Examples:
        >>> stack_batch([torch.ones(3, 2, 5), torch.ones(3, 4, 1)], pad_size_divisor=4).shape
        torch.Size([2, 3, 4, 8])
    """
    if not isinstance(tensor_list, (list, tuple)) or not all(isinstance(item, torch.Tensor) for item in tensor_list):
        raise ModelTypeError(f"stack_batch takes a list of tensors, got {type(tensor_list).__name__}")
    if not tensor_list:
        raise ImageShapeError("stack_batch got no tensor")
    shapes = [tuple(tensor.shape) for tensor in tensor_list]
    if len({(len(shape), shape[:1]) for shape in shapes}) > 1:
        raise ImageShapeError(f"tensors of a batch must have equal dimensions and channels, got {shapes}")
    if pad_size_divisor < 1:
        raise ValueError(f"pad_size_divisor must be 1 or more, got {pad_size_divisor}")
    channels, *sizes = (max(column) for column in zip(*shapes, strict=True))
    target = (channels, *(math.ceil(size / pad_size_divisor) * pad_size_divisor for size in sizes))
    if all(shape == target for shape in shapes):
        return torch.stack(list(tensor_list))
    batch: torch.Tensor = tensor_list[0].new_full((len(shapes), *target), pad_value)
    for index, tensor in enumerate(tensor_list):
        region: Any = (index, *map(slice, tensor.shape))
        batch[region] = tensor
    return batch


def detect_anomalous_params(loss: torch.Tensor, model: nn.Module) -> None:
    """Logs, as errors, the parameters that need a gradient and do not take part in ``loss``.

    Args:
        loss: the loss, before its graph is freed.
        model: the model.
    """
    reached: set[int] = set()
    seen: set[Any] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(id(node.variable))
        waiting.extend(following for following, _ in node.next_functions)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in reached:
            logger.error("%s %s takes no part in the loss: no gradient can reach it", name, tuple(parameter.shape))


def merge_dict(*args: dict[Any, Any]) -> dict[Any, Any]:
    """One dictionary of several; later ones win. A torch.fx trace follows it, as it cannot follow ``{**a, **b}``.

    Examples:
        >>> merge_dict({"a": 1}, {"a": 2, "b": 3})
        {'a': 2, 'b': 3}
    """
    output: dict[Any, Any] = {}
    for item in args:
        output.update(item)
    return output


class _BatchNormXd(_BatchNorm):
    """Batch normalisation for any number of dimensions: what a synchronised one is on one process."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        return


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """``module`` with ordinary batch normalisation in place of synchronised, the same weights and statistics.

    Args:
        module: a model; its children are replaced in place.

    Returns:
        The model; another object only where it is itself a normalisation layer.
    """
    kinds: tuple[type, ...] = (nn.SyncBatchNorm, CpuSyncBatchNorm, *_mmcv_sync_batchnorm(load=False))
    if isinstance(module, kinds):
        return _taken_over(module, _BatchNormXd)
    for name, child in module.named_children():
        replaced = revert_sync_batchnorm(child)
        if replaced is not child:
            setattr(module, name, replaced) if hasattr(type(module), name) else module.add_module(name, replaced)
    return module


def convert_sync_batchnorm(module: nn.Module, implementation: str = "torch") -> nn.Module:
    """``module`` with synchronised batch normalisation in place of ordinary, the same weights and statistics.

    Args:
        module: a model; its children are replaced in place.
        implementation: ``"torch"``, or ``"mmcv"`` where that is installed.

    Returns:
        The model; another object only where it is itself a normalisation layer.

    Raises:
        ValueError: there is no such implementation.
        ImportError: mmcv is asked for and not installed.
    """
    if implementation == "torch":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-any-return]  # untyped in torch
    if implementation != "mmcv":
        raise ValueError(f"sync_bn should be 'torch' or 'mmcv', but got {implementation!r}")
    layer_classes = _mmcv_sync_batchnorm(load=True)
    if not layer_classes:
        raise ImportError("implementation='mmcv' needs mmcv with its operators; use implementation='torch'")
    return _converted(module, layer_classes[0])


def _converted(module: nn.Module, layer_class: type) -> nn.Module:
    if isinstance(module, _BatchNorm) and not isinstance(module, layer_class):
        return _taken_over(module, layer_class)
    for name, child in module.named_children():
        module.add_module(name, _converted(child, layer_class))
    return module


def _taken_over(old: Any, layer_class: Any) -> nn.Module:
    """A normalisation layer of ``layer_class`` with the state of ``old``: the same tensors, so that optimizers go on."""
    new: Any = layer_class(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    for table in ("_parameters", "_buffers"):
        getattr(new, table).update(getattr(old, table))
    new.training = old.training
    if hasattr(old, "qconfig"):
        new.qconfig = old.qconfig
    return new  # type: ignore[no-any-return]  # layer_class is a Module


def _mmcv_sync_batchnorm(*, load: bool) -> tuple[type, ...]:
    if not load and "mmcv.ops" not in sys.modules:  # then no model holds one
        return ()
    try:
        return (importlib.import_module("mmcv.ops").SyncBatchNorm,)
    except (ImportError, AttributeError):
        return ()
