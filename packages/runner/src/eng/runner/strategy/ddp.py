"""DDPStrategy: data parallelism, with a complete copy of the model in each process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.device import get_device
from eng.model import convert_sync_batchnorm
from eng.model._sync_batch_norm import let_cpus_synchronise
from eng.registry import MODEL_WRAPPERS, STRATEGIES

from .base import BaseStrategy


@STRATEGIES.register_module()
class DDPStrategy(BaseStrategy):
    """Wraps the model in ``MMDistributedDataParallel``, which averages gradients over the ranks.

    Args:
        model_wrapper: arguments of ``MMDistributedDataParallel``; or, with a key ``type``, the config of another
            wrapper that replaces it. None (default) uses the default arguments.
        sync_bn: ``"torch"`` (or ``"mmcv"``) makes BatchNorm layers compute statistics over all ranks; None (default)
            does not.
        **kwargs: arguments of :class:`BaseStrategy`.

    Raises:
        ValueError: ``sync_bn`` is unknown.
    """

    def __init__(
        self, *, model_wrapper: dict[str, Any] | None = None, sync_bn: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sync_bn not in (None, "torch", "mmcv"):
            raise ValueError(f"sync_bn must be 'torch', 'mmcv' or None, got {sync_bn!r}")
        self.model_wrapper = model_wrapper
        self.sync_bn = sync_bn

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Moves the model to its device, converts BatchNorm layers if ``sync_bn`` is set, and wraps the model."""
        return wrap(synchronised(model.to(get_device()), self.sync_bn), self.model_wrapper)


def synchronised(model: nn.Module, sync_bn: str | None) -> nn.Module:
    """Converts BatchNorm layers to SyncBatchNorm if ``sync_bn`` is set, and makes SyncBatchNorm layers work on CPUs.

    Raises:
        ValueError: ``sync_bn`` is unknown.
    """
    if sync_bn:
        model = convert_sync_batchnorm(model, sync_bn)
    if get_device() == "cpu":
        return let_cpus_synchronise(model)
    return model


def wrap(model: nn.Module, model_wrapper: Mapping[str, Any] | None) -> nn.Module:
    """Wraps a model in the wrapper that a config names with the key ``type``, by default ``MMDistributedDataParallel``.

    ``MMDistributedDataParallel`` gets ``broadcast_buffers=False`` unless the config has this key, and on a GPU the
    device of the model's parameters as ``device_ids``.
    """
    cfg: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False, **(model_wrapper or {})}
    if cfg["type"] != "MMDistributedDataParallel" and "broadcast_buffers" not in (model_wrapper or {}):
        del cfg["broadcast_buffers"]
    default_args: dict[str, Any] = {"module": model}
    device = next((p.device for p in model.parameters()), None)
    if cfg["type"] == "MMDistributedDataParallel" and device is not None and device.type != "cpu":
        default_args["device_ids"] = [device.index]
    wrapped: nn.Module = MODEL_WRAPPERS.build(cfg, default_args=default_args)
    return wrapped
