"""Data, sharded, context and tensor parallelism on one mesh of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from eng.device import get_device
from eng.dist import get_rank, get_world_size, is_distributed, set_ranks_per_share
from eng.optim import OptimWrapper
from eng.registry import STRATEGIES

from ..errors import SettingsError
from ..state.rng import capture_rng, restore_rng
from .context_parallel import ContextParallelModel, read_context
from .fsdp import FSDPStrategy
from .tensor_plans import read_plan
from .tensor_styles import parallel_style

_AXES = ("replicate", "shard", "tensor")


@STRATEGIES.register_module(name=["MeshStrategy", "Mesh"])
class MeshStrategy(FSDPStrategy):
    """Combines several kinds of parallelism; each kind is one axis of torch's DeviceMesh.

    Ranks are numbered with ``tensor`` running fastest, then ``context``, ``shard`` and ``replicate``, so that the ranks
    of a tensor-parallel group have consecutive numbers. The ranks of one tensor-parallel or context-parallel group read
    the same data. Parameters are sharded over the axes ``shard`` and ``context`` together.

    Args:
        replicate: number of replicas of the sharded model (HSDP). 1 by default.
        shard: number of ranks over which parameters, gradients and optimizer state are sharded (FSDP2). -1 (default)
            uses all ranks that the other axes leave: the number of ranks divided by the product of the other sizes.
        tensor: number of ranks over which the layers of `tensor_plan` are split (tensor parallelism). 1 by default.
        context: number of ranks over which the sequences of a training batch are split, 1 by default; or a dict such as
            ``dict(size=2, inputs=dict(input_ids=1, labels=1), positions="position_ids")``, where ``inputs`` maps keys
            of a batch to their sequence dimension and ``positions`` names the model's argument for position numbers;
            see :class:`~.context_parallel.ContextSettings`.
        tensor_plan: ``"auto"`` for models of transformers and timm, the name of a ready plan, or a mapping from
            patterns of layer names to ``"colwise"``, ``"rowwise"``, ``"colwise_gathered"``, ``"rowwise_split"`` or
            ``"heads"`` (see :func:`~.tensor_plans.read_plan`). Required if ``tensor`` is above 1.
        **kwargs: arguments of :class:`FSDPStrategy`.

    Raises:
        SettingsError: the product of the axes is not the number of ranks, ``context`` has an unknown form or is
            combined with another model wrapper, the plan does not fit the model, or there is no process group.

    Source: Shoeybi et al. 2019, arXiv:1909.08053 (tensor parallelism); Zhao et al. 2023, arXiv:2304.11277 (FSDP); Dubey
    et al. 2024, arXiv:2407.21783, section 3.3.2 (context parallelism that gathers keys and values).
    """

    def __init__(
        self,
        *,
        replicate: int = 1,
        shard: int = -1,
        tensor: int = 1,
        context: int | Mapping[str, Any] = 1,
        tensor_plan: str | Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_distributed():
            raise SettingsError(
                "the strategy Mesh needs a process group: start with `--nproc N`, torchrun or --launcher"
            )
        self.context = read_context(context)
        if self.context.size > 1 and self.wrapper_cfg["type"] != "MMFullyShardedDataParallel":
            raise SettingsError(
                f"context={self.context.size} wraps the model itself: leave type={self.wrapper_cfg['type']!r} out of model_wrapper"
            )
        replicate, shard, tensor = _shape(replicate, shard, tensor, self.context.size, get_world_size())
        self.shape = (replicate, shard * self.context.size, tensor)
        if tensor > 1 and tensor_plan is None:
            raise SettingsError(
                "tensor > 1 needs tensor_plan: 'auto', the name of a ready plan or patterns of layer names"
            )
        self.tensor_plan = tensor_plan
        set_ranks_per_share(self.context.size * tensor)

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Initialises the weights, splits the layers of the tensor plan, and then shards the model with FSDP2."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import parallelize_module

        self._set_weights(model)
        device_type = torch.device(get_device()).type
        mesh = init_device_mesh(device_type, self.shape, mesh_dim_names=_AXES)
        if self.shape[2] > 1:
            plan = read_plan(self.tensor_plan, model, self.shape[2])
            model.to(get_device())
            styles = {name: parallel_style(style, model.get_submodule(name)) for name, style in plan.items()}
            parallelize_module(model, mesh["tensor"], styles)
        options: dict[str, Any] = {"device_mesh": mesh["replicate", "shard"]}
        if self.context.size > 1:
            replicate, shard, tensor = self.shape
            sizes = (replicate * shard // self.context.size, self.context.size, tensor)
            sequences = init_device_mesh(device_type, sizes, mesh_dim_names=("data", "context", "tensor"))["context"]
            _share_randomness(sequences)
            options.update(type=ContextParallelModel, context=self.context, context_group=sequences.get_group())
        if self.shape[2] > 1:
            _share_randomness(mesh["tensor"])
        return self._wrap(model, options)

    def _ranks_averaged(self) -> int:
        """Returns the number of ranks over which gradients are averaged: one rank per tensor-parallel group counts."""
        return get_world_size() // self.shape[2]

    def prepare_optim(self, model: nn.Module, optim_wrapper: OptimWrapper) -> Any:
        """Returns the optimizer wrapper; with tensor parallelism its optimizers update parameters one by one.

        Split layers and other layers are on different meshes, and torch's batched updates (``foreach``, ``fused``) do
        not support parameters on several meshes.
        """
        if self.shape[2] > 1:
            _update_one_by_one(optim_wrapper)
        return optim_wrapper

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads optimizer state from complete tensors or from shards, and keeps updating parameters one by one.

        A loaded state dict can contain ``foreach=True`` or ``fused=True``, which are switched off again.
        """
        super().load_optim_state(model, optim_wrapper, state)
        if self.shape[2] > 1:
            _update_one_by_one(optim_wrapper)


def _shape(replicate: int, shard: int, tensor: int, context: int, ranks: int) -> tuple[int, int, int]:
    """Returns the sizes of the axes `replicate`, `shard` and `tensor`; ``shard=-1`` becomes the size that fits.

    Raises:
        SettingsError: a size is below 1, or the product of the four axes is not the number of ranks.
    """
    sizes = f"replicate={replicate}, shard={shard}, context={context}, tensor={tensor}"
    if replicate < 1 or tensor < 1 or (shard < 1 and shard != -1):
        raise SettingsError(f"the axes of a mesh are 1 or more, got {sizes}")
    length = shard
    if shard == -1:
        length = ranks // (replicate * context * tensor)
    if replicate * length * context * tensor != ranks:
        raise SettingsError(
            f"{sizes} do not multiply to the {ranks} ranks of this run: change one of them or the number of processes"
        )
    return replicate, length, tensor


def _share_randomness(mesh: DeviceMesh) -> None:
    """Copies the states of all random generators from the first rank of a group to its other ranks.

    The generator of the accelerator is included. The ranks of the group train on the same samples, so that their random
    augmentations and dropout must be the same.
    """
    group = mesh.get_group()
    first = torch.distributed.get_global_rank(group, 0)
    # capture_rng() leaves out an accelerator that this process has not used yet.
    torch.empty(1, device=get_device())
    states = [capture_rng()]
    torch.distributed.broadcast_object_list(states, src=first, group=group)
    if get_rank() != first:
        restore_rng(states[0])


def _update_one_by_one(optim_wrapper: OptimWrapper) -> None:
    """Sets the options ``foreach`` and ``fused`` of all optimizers to False."""
    from ..assemble.optim import optimizers_of

    for optimizer in optimizers_of(optim_wrapper):
        for group in optimizer.param_groups:
            for option in ("foreach", "fused"):
                if option in group:
                    group[option] = False
