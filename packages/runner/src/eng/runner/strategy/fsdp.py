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

    A checkpoint has the names and, by default, the whole tensors of the plain model, so that any strategy goes on from
    it. With accumulation, gradients are reduced at each backward, which keeps them in shards; ``no_sync=True`` trades
    that memory for less traffic.

    Args:
        wrap_policy: which modules are gathered on their own: ``dict(classes=[...])``, ``dict(min_params=N)``,
            ``dict(names=[...])``, or an ``auto_wrap_policy`` of the wrapper. None (default) gathers the model as one,
            which saves no memory for parameters during a step.
        mixed_precision: ``dict(param_dtype="bfloat16", reduce_dtype="float32", ...)``; None (default) computes in the
            type of the parameters.
        cpu_offload: keep parameters, gradients and optimizer state in the memory of the CPU. False by default.
        reshard_after_forward: free gathered parameters after the forward (True, the default) or after the backward.
        checkpoint: ``"full"`` (default) writes one file with whole tensors; ``"sharded"`` a folder to which every rank
            writes its part, which any number of ranks reads.
        no_sync: reduce gradients only where an accumulation window ends; they add up unsharded. A run that is saved
            inside such a window repeats it. False by default.
        skip_init_weights: leave out the model's ``init_weights``, for weights that are loaded anyhow.
        model_wrapper: further options of :class:`eng.model.MMFullyShardedDataParallel`, or another wrapper's config.
        **kwargs: the base's arguments.

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
        """The model with its weights set, then sharded: shards of random numbers would differ from the whole's."""
        if not is_distributed():
            raise SettingsError(
                "the strategy FSDP2 needs a process group: start with `--nproc N`, torchrun or --launcher slurm|mpi, or "
                "leave strategy out for one device"
            )
        self._set_weights(model)
        return self._wrap(model, {})

    def _set_weights(self, model: nn.Module) -> None:
        if not self.skip_init_weights and hasattr(model, "init_weights") and not _on_meta(model):
            super().init_weights(model)

    def _wrap(self, model: nn.Module, options: Mapping[str, Any]) -> nn.Module:
        cfg = {**self.wrapper_cfg, **options}
        if "auto_wrap_policy" in cfg:
            cfg["auto_wrap_policy"] = read_wrap_policy(cfg["auto_wrap_policy"], model)
        wrapped: nn.Module = MODEL_WRAPPERS.build(cfg, default_args={"module": model})
        wrapped.defers_reduction = self.no_sync  # type: ignore[assignment]  # a plain attribute of the wrapper
        take_whole_weights(model)
        return wrapped

    def init_weights(self, model: nn.Module) -> None:
        """Nothing: the weights were set before they were sharded."""

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """The weights under the plain names: whole, or in shards for a sharded checkpoint."""
        return self.portable(dict(unwrap(model).state_dict()))

    def optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """The optimizer's state: whole, or in shards for a sharded checkpoint."""
        return self.portable(optim_wrapper.state_dict())

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads the optimizer's state, whole or in shards."""
        from ..assemble.optim import optimizers_of

        optim_wrapper.load_state_dict(state)
        for optimizer in optimizers_of(optim_wrapper):
            shard_optimizer_state(optimizer)

    def accumulation_state(self, optim_wrapper: OptimWrapper) -> Any:
        """The open accumulation window, with whole gradients and the mean of the ranks' weights, the same on all ranks."""
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
        """Ranks whose gradients are averaged."""
        return get_world_size()

    def load_accumulation_state(self, optim_wrapper: OptimWrapper, state: Any) -> None:
        """Opens the accumulation window again, each rank with its part of the gradients.

        One that several ranks left, each with gradients of its own, goes on with their mean.
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
        """A checkpoint; of a sharded one each rank reads its part."""
        if is_other_folder(filename):
            return read_folder(filename, map_location, unwrap(model))
        return super().read(filename, map_location, model)

    def portable(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint with whole tensors, unless every rank writes its shards."""
        if self.sharded:
            return checkpoint
        portable: dict[str, Any] = gather_tensors(checkpoint)
        return portable

    def checkpoint_writer(self, backend_args: object, *, beside: Beside) -> CheckpointWriter:
        """What writes checkpoints: one file by rank 0, or a folder by all ranks."""
        if not self.sharded:
            return super().checkpoint_writer(backend_args, beside=beside)
        if not beside:
            return ShardWriter(beside=False, earlier=self._writer)
        if self._writer is None:  # one for all, as it has a process group
            self._writer = ShardWriter(beside=beside)
        return self._writer

    def close(self) -> None:
        """Waits for a checkpoint that is still being written, and ends the process that writes."""
        if self._writer is not None:
            self._writer.shut_down()


def _on_meta(model: nn.Module) -> bool:
    return any(parameter.is_meta for parameter in model.parameters())
