"""Data, sharded, context and tensor parallelism on one mesh of ranks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from eng.device import get_device
from eng.dist import get_rank, get_world_size, is_distributed, set_ranks_per_share
from eng.optim import OptimWrapper
from eng.registry import STRATEGIES

from ..errors import SettingsError
from .context_parallel import ContextParallelModel, read_context
from .fsdp import FSDPStrategy
from .tensor_plans import read_plan
from .tensor_styles import parallel_style

_AXES = ("replicate", "shard", "tensor")


@STRATEGIES.register_module(name=["MeshStrategy", "Mesh"])
class MeshStrategy(FSDPStrategy):
    """Splits a run along the axes of a mesh, on torch's DeviceMesh.

    Ranks are numbered with ``tensor`` running fastest, then ``context``, ``shard`` and ``replicate``: the ranks of a
    tensor-parallel group are neighbours. All ranks along ``tensor`` and ``context`` read the same data. Parameters are sharded
    over ``shard`` and ``context`` together.

    Args:
        replicate: groups of ranks that hold the same shards. 1 by default.
        shard: ranks that share parameters, gradients and optimizer state (FSDP2). -1 (default) takes those that are left.
        tensor: ranks that share the layers of `tensor_plan`. 1 by default.
        context: ranks that share the sequences of a batch in training, 1 by default, or ``dict(size=2, inputs=dict(input_ids=1,
            labels=1), positions="position_ids")``: keys of a batch with the dimension that is the sequence, and the argument of
            the model that numbers positions; see :class:`~.context_parallel.ContextSettings`.
        tensor_plan: ``"auto"`` for models of transformers and timm, the name of a ready plan, or patterns of the names of
            layers with ``"colwise"``, ``"rowwise"``, ``"colwise_gathered"``, ``"rowwise_split"`` or ``"heads"`` for each (see
            :func:`~.tensor_plans.read_plan`). Needed where ``tensor`` is above 1.
        **kwargs: those of :class:`FSDPStrategy`.

    Raises:
        SettingsError: the axes do not multiply to the number of ranks, ``context`` is of another form or has another
            wrapper of the model beside it, the plan does not fit the model, or there is no process group.

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
        """The model with its weights set, its planned layers split, then sharded over the data axes."""
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
        return get_world_size() // self.shape[2]

    def prepare_optim(self, model: nn.Module, optim_wrapper: OptimWrapper) -> Any:
        """The optimizer wrapper; parameters on two meshes are updated one by one, as torch has no batched step for them."""
        if self.shape[2] > 1:
            _update_one_by_one(optim_wrapper)
        return optim_wrapper

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads the optimizer's state, whole or in shards."""
        super().load_optim_state(model, optim_wrapper, state)
        if self.shape[2] > 1:
            _update_one_by_one(optim_wrapper)


def _shape(replicate: int, shard: int, tensor: int, context: int, ranks: int) -> tuple[int, int, int]:
    """Lengths of the axes `replicate`, `shard` and `tensor`, with the length that -1 stands for.

    Raises:
        SettingsError: they do not fit the number of ranks.
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
    """Gives the ranks of a group the random numbers of its first: they compute the same samples."""
    group = mesh.get_group()
    first = torch.distributed.get_global_rank(group, 0)
    states: list[Any] = [(random.getstate(), np.random.get_state(), torch.get_rng_state())]  # noqa: NPY002  # of users' transforms
    torch.distributed.broadcast_object_list(states, src=first, group=group)
    if get_rank() != first:
        python, numpy, generator = states[0]
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  # as above
        torch.set_rng_state(generator)


def _update_one_by_one(optim_wrapper: OptimWrapper) -> None:
    from ..assemble.optim import optimizers_of

    for optimizer in optimizers_of(optim_wrapper):
        for group in optimizer.param_groups:
            for option in ("foreach", "fused"):
                if option in group:
                    group[option] = False
