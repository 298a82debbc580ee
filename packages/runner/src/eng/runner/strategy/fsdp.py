"""Sharded data parallelism: each rank keeps a part of parameters, gradients and optimizer state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.checkpoint import CheckpointWriter
from eng.checkpoint._writers import Beside
from eng.checkpoint.dtensor import local_part
from eng.checkpoint.unwrap import unwrap
from eng.device import get_device
from eng.dist import all_reduce, get_world_size, is_distributed
from eng.optim import OptimWrapper
from eng.registry import MODEL_WRAPPERS, STRATEGIES
from eng.runner.persistence import MapLocation

from ..errors import SettingsError
from ._shards import cut_like, gather_tensors, shard_optimizer_state, take_whole_weights
from .base import BaseStrategy, window_share
from .sharded_files import ShardWriter, is_other_folder, read_folder
from .wrap_policy import read_wrap_policy


@STRATEGIES.register_module(name=["FSDPStrategy", "FSDP2"])
class FSDPStrategy(BaseStrategy):
    """Shards the model with torch's ``fully_shard`` (FSDP2).

    By default, a checkpoint holds complete tensors under the parameter names of the unwrapped model, so that every
    strategy can resume from the checkpoint. With gradient accumulation, gradients are reduced after each backward pass,
    so that each rank stores only its shards of them; ``no_sync=True`` communicates less, but stores complete gradients
    on each rank.

    Args:
        wrap_policy: which modules are gathered and freed one by one: ``dict(classes=[...])``, ``dict(min_params=N)``,
            ``dict(names=[...])``, or an ``auto_wrap_policy`` of the wrapper. None (default) gathers all parameters of
            the model at once, so that a step needs memory for the complete parameters.
        mixed_precision: ``dict(param_dtype="bfloat16", reduce_dtype="float32", ...)``; None (default) computes in the
            data type of the parameters.
        cpu_offload: whether parameters, gradients and optimizer state are kept in CPU memory. False by default.
        reshard_after_forward: whether gathered parameters are freed after the forward pass (True, the default) or after
            the backward pass (False).
        checkpoint: ``"full"`` (default) writes one file with complete tensors; ``"sharded"`` writes a folder that holds
            the shards of every rank, from which any number of ranks can resume.
        no_sync: whether gradients are reduced only at the last iteration of an accumulation window; until then each
            rank adds up complete gradients. A run that is resumed inside such a window repeats the window from its
            first iteration. False by default.
        skip_init_weights: whether the model's ``init_weights`` is not called, for a model whose weights are loaded from
            a checkpoint. False by default.
        model_wrapper: further arguments of :class:`eng.model.MMFullyShardedDataParallel`, or the config of another
            wrapper.
        **kwargs: arguments of :class:`BaseStrategy`.

    Raises:
        SettingsError: ``checkpoint`` is unknown, there is no process group, or the wrap policy fits no module.

    Source: Zhao et al. 2023, arXiv:2304.11277.
    """

    needs_its_wrapper = True

    def __init__(
        self,
        *,
        wrap_policy: object = None,
        mixed_precision: object = None,
        cpu_offload: bool = False,
        reshard_after_forward: bool = True,
        checkpoint: str = "full",
        no_sync: bool = False,
        skip_init_weights: bool = False,
        model_wrapper: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if checkpoint not in ("full", "sharded"):
            raise SettingsError(f"checkpoint must be 'full' or 'sharded', got {checkpoint!r}")
        self.wrap_policy, self.no_sync = wrap_policy, no_sync
        self.sharded = checkpoint == "sharded"
        self.skip_init_weights = skip_init_weights
        arguments: dict[str, Any] = {
            "auto_wrap_policy": wrap_policy,
            "mixed_precision": mixed_precision,
            "cpu_offload": cpu_offload or None,
        }
        if not reshard_after_forward:
            arguments["sharding_strategy"] = "SHARD_GRAD_OP"
        self.wrapper_cfg: dict[str, Any] = {
            "type": "MMFullyShardedDataParallel",
            **{name: value for name, value in arguments.items() if value is not None},
            **(model_wrapper or {}),
        }
        self._writer: ShardWriter | None = None

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Initialises the weights, and then shards the model.

        Initialising after sharding would draw other random numbers than a run on one device.
        """
        if not is_distributed():
            raise SettingsError(
                "the strategy FSDP2 needs a process group: start with `--nproc N`, torchrun or --launcher slurm|mpi, or "
                "leave strategy out for one device"
            )
        self._set_weights(model)
        return self._wrap(model, {})

    def _set_weights(self, model: nn.Module) -> None:
        """Initialises the weights, unless ``skip_init_weights`` is set or parameters are on the meta device."""
        if not self.skip_init_weights and hasattr(model, "init_weights") and not _on_meta(model):
            super().init_weights(model)

    def _wrap(self, model: nn.Module, options: Mapping[str, Any]) -> nn.Module:
        """Puts the model into the wrapper that shards it.

        Args:
            model: the model, which afterwards also loads complete tensors, of which each rank keeps its shard.
            options: arguments of the wrapper that replace those of the strategy.
        """
        cfg = {**self.wrapper_cfg, **options}
        if "auto_wrap_policy" in cfg:
            cfg["auto_wrap_policy"] = read_wrap_policy(cfg["auto_wrap_policy"], model)
        wrapped: nn.Module = MODEL_WRAPPERS.build(cfg, default_args={"module": model})
        wrapped.defers_reduction = self.no_sync  # type: ignore[assignment]  # a plain attribute of the wrapper
        take_whole_weights(model)
        return wrapped

    def init_weights(self, model: nn.Module) -> None:
        """Does nothing, because :meth:`convert_model` has already initialised the weights, before it sharded them."""

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Returns the weights under the unwrapped model's names: complete, or as shards for a sharded checkpoint."""
        return self.portable(dict(unwrap(model).state_dict()))

    def optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """Returns the optimizer's state with complete tensors, or with this rank's shards for a sharded checkpoint."""
        return self.portable(optim_wrapper.state_dict())

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads optimizer state from complete tensors, of which each rank keeps its shard, or from shards."""
        from ..assemble.optim import optimizers_of

        optim_wrapper.load_state_dict(state)
        for optimizer in optimizers_of(optim_wrapper):
            shard_optimizer_state(optimizer)

    def accumulation_state(self, optim_wrapper: OptimWrapper) -> Any:
        """Returns the gradients accumulated since the last update; the result is the same on all ranks.

        The gradients are gathered to complete tensors, and their total loss weight is averaged over the ranks.
        """
        state = optim_wrapper.accumulation_state()
        if state.get("gradients"):
            parameters = optim_wrapper.named_parameters()
            state["gradients"] = {name: gather_tensors(p.grad) for name, p in parameters if p.grad is not None}
        if state.get("weight") is not None:
            weight = torch.as_tensor(state["weight"], dtype=torch.float32, device=get_device())
            all_reduce(weight, op="mean")
            state["weight"], state["ranks"] = float(weight), self._ranks_averaged()
        return state

    def _ranks_averaged(self) -> int:
        """Returns the number of ranks over which gradients are averaged; here all ranks."""
        return get_world_size()

    def load_accumulation_state(self, optim_wrapper: OptimWrapper, state: Any) -> None:
        """Restores the accumulated gradients of an unfinished accumulation window, sharded like their parameters.

        If the checkpoint holds separate gradients of several ranks, such as those of DDP, their mean is restored.
        """
        state = window_share(state, self._ranks_averaged())
        parameters = dict(optim_wrapper.named_parameters())
        local = {}
        for name, gradient in state["gradients"].items():
            if name in parameters:
                gradient = cut_like(gradient, parameters[name])
            local[name] = local_part(gradient)
        optim_wrapper.load_accumulation_state({**state, "gradients": local})

    def read(self, filename: str, map_location: MapLocation, model: nn.Module) -> dict[str, Any]:
        """Reads a checkpoint; from the folder of a sharded checkpoint each rank reads only its own shards."""
        if is_other_folder(filename):
            return read_folder(filename, map_location, unwrap(model))
        return super().read(filename, map_location, model)

    def portable(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Gathers the shards of a checkpoint to complete tensors; a sharded checkpoint is returned unchanged."""
        if self.sharded:
            return checkpoint
        portable: dict[str, Any] = gather_tensors(checkpoint)
        return portable

    def checkpoint_writer(self, backend_args: object, *, beside: Beside) -> CheckpointWriter:
        """Returns an object that writes checkpoints: one file from rank 0, or a folder with the shards of all ranks."""
        if not self.sharded:
            return super().checkpoint_writer(backend_args, beside=beside)
        if not beside:
            return ShardWriter(beside=False, earlier=self._writer)
        if self._writer is None:  # All hooks share one background writer, because it creates a process group.
            self._writer = ShardWriter(beside=beside)
        return self._writer

    def close(self) -> None:
        """Waits for a checkpoint that is still being written, and ends the checkpoint process, if there is one."""
        if self._writer is not None:
            self._writer.shut_down()


def _on_meta(model: nn.Module) -> bool:
    return any(parameter.is_meta for parameter in model.parameters())
