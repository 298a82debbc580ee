"""Utilities for models: stacking images, converting batch normalisation, and finding parameters without gradients."""

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
    """Pads images of different sizes at the bottom and right to the largest size, and stacks them into a tensor.

    Args:
        tensor_list: images ``(C, H, W)``, or tensors with more dimensions after C; all have the same dtype and C.
        pad_size_divisor: all sizes except C are padded to multiples of this number.
        pad_value: value of the padding.

    Returns:
        a tensor ``(N, C, H, W)``, where H and W are the largest height and width of all images, rounded up to a
        multiple of ``pad_size_divisor``.

    Raises:
        TypeError: ``tensor_list`` is not a sequence of tensors.
        ImageShapeError: ``tensor_list`` is empty, or the tensors differ in the number of dimensions or in C.
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
    """Logs an error for each parameter that needs a gradient but does not contribute to ``loss``.

    Args:
        loss: the loss, before ``backward`` has freed the autograd graph.
        model: the model whose parameters are checked.
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
    """Returns the entries of all dictionaries in one; for a key that occurs several times, the last value counts.

    A call of this function can be traced by ``torch.fx``, which cannot trace ``{**a, **b}``.

    Examples:
        >>> merge_dict({"a": 1}, {"a": 2, "b": 3})
        {'a': 2, 'b': 3}
    """
    output: dict[Any, Any] = {}
    for item in args:
        output.update(item)
    return output


class _BatchNormXd(_BatchNorm):
    """Batch normalisation for inputs of any number of dimensions, the replacement of a SyncBatchNorm layer.

    SyncBatchNorm accepts any number of dimensions, while BatchNorm1d, 2d and 3d each accept a fixed number.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        return


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replaces the SyncBatchNorm layers of a model by ordinary BatchNorm layers with the same weights and statistics.

    Args:
        module: a model; its layers are replaced in place.

    Returns:
        the model; if ``module`` itself is a normalisation layer, the new layer.
    """
    sync_classes: tuple[type, ...] = (nn.SyncBatchNorm, CpuSyncBatchNorm, *_mmcv_sync_batchnorm(load=False))
    if isinstance(module, sync_classes):
        return _with_state_of(module, _BatchNormXd)
    for name, child in module.named_children():
        replaced = revert_sync_batchnorm(child)
        if replaced is child:
            continue
        # If the module's class has a property with the child's name, setattr calls the property's setter.
        if hasattr(type(module), name):
            setattr(module, name, replaced)
        else:
            module.add_module(name, replaced)
    return module


def convert_sync_batchnorm(module: nn.Module, implementation: str = "torch") -> nn.Module:
    """Replaces the BatchNorm layers of a model by SyncBatchNorm layers with the same weights and statistics.

    Args:
        module: a model; its layers are replaced in place.
        implementation: package whose SyncBatchNorm is used: ``"torch"`` (default), or ``"mmcv"``, which must be
            installed with its compiled operators.

    Returns:
        the model; if ``module`` itself is a normalisation layer, the new layer.

    Raises:
        ValueError: ``implementation`` is neither ``"torch"`` nor ``"mmcv"``.
        ImportError: ``implementation`` is ``"mmcv"``, and mmcv is not installed.
    """
    if implementation == "torch":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-any-return]  # untyped in torch
    if implementation != "mmcv":
        raise ValueError(f"sync_bn should be 'torch' or 'mmcv', but got {implementation!r}")
    layer_classes = _mmcv_sync_batchnorm(load=True)
    if not layer_classes:
        raise ImportError("implementation='mmcv' needs mmcv with its operators; use implementation='torch'")
    return _convert(module, layer_classes[0])


def _convert(module: nn.Module, layer_class: type) -> nn.Module:
    if isinstance(module, _BatchNorm) and not isinstance(module, layer_class):
        return _with_state_of(module, layer_class)
    for name, child in module.named_children():
        module.add_module(name, _convert(child, layer_class))
    return module


def _with_state_of(old: Any, layer_class: Any) -> nn.Module:
    """Returns a new layer of ``layer_class`` with the settings of ``old`` and the same parameter and buffer objects.

    Because the parameters are the same objects, an optimizer that was built before keeps updating them.
    """
    new: Any = layer_class(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    for table in ("_parameters", "_buffers"):
        getattr(new, table).update(getattr(old, table))
    new.training = old.training
    if hasattr(old, "qconfig"):
        new.qconfig = old.qconfig
    return new  # type: ignore[no-any-return]  # layer_class is a Module


def _mmcv_sync_batchnorm(*, load: bool) -> tuple[type, ...]:
    """Returns mmcv's SyncBatchNorm in a tuple for isinstance; an empty tuple if mmcv is not installed.

    With ``load=False`` mmcv is not imported: the tuple is empty too unless other code has imported mmcv.
    """
    if not load and "mmcv.ops" not in sys.modules:
        return ()
    try:
        return (importlib.import_module("mmcv.ops").SyncBatchNorm,)
    except (ImportError, AttributeError):
        return ()
