"""Data, sharded and tensor parallelism on one mesh of ranks."""

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
from .fsdp import FSDPStrategy
from .tensor_plans import read_plan
from .tensor_styles import parallel_style

_AXES = ("replicate", "shard", "tensor")


@STRATEGIES.register_module(name=["MeshStrategy", "Mesh"])
class MeshStrategy(FSDPStrategy):
    """Splits a run along the axes of a mesh, on torch's DeviceMesh.

    Ranks are numbered with ``tensor`` running fastest: the ranks of a tensor-parallel group are neighbours, and so are
    those of a group that shards. All ranks of a tensor-parallel group read the same data.

    Args:
        replicate: groups of ranks that hold the same shards. 1 by default.
        shard: ranks that share parameters, gradients and optimizer state (FSDP2). -1 (default) takes those that are left.
        tensor: ranks that share the layers of `tensor_plan`. 1 by default.
        context: 1. Sharing one sequence among ranks needs an attention that only GPUs have.
        tensor_plan: ``"auto"`` for models of transformers and timm, the name of a ready plan, or patterns of the names of
            layers with ``"colwise"``, ``"rowwise"``, ``"colwise_gathered"``, ``"rowwise_split"`` or ``"heads"`` for each (see
            :func:`~.tensor_plans.read_plan`). Needed where ``tensor`` is above 1.
        **kwargs: those of :class:`FSDPStrategy`.

    Raises:
        SettingsError: the axes do not multiply to the number of ranks, ``context`` is not 1, the plan does not fit the
            model, or there is no process group.

    Source: Shoeybi et al. 2019, arXiv:1909.08053 (tensor parallelism); Zhao et al. 2023, arXiv:2304.11277 (FSDP).
    """

    def __init__(
        self,
        *,
        replicate: int = 1,
        shard: int = -1,
        tensor: int = 1,
        context: int = 1,
        tensor_plan: str | Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_distributed():
            raise SettingsError(
                "the strategy Mesh needs a process group: start with `--nproc N`, torchrun or --launcher"
            )
        if context != 1:
            raise SettingsError(
                f"context={context} is not offered: torch's context parallelism is experimental and needs the backend nccl with "
                "the flash, efficient or cuDNN attention kernels of CUDA devices; over gloo every attention kernel of a CPU fails "
                "in it. Leave context at 1, and use tensor=N or activation_checkpointing for long sequences (docs/scale.md)"
            )
        self.shape = _shape(replicate, shard, tensor, get_world_size())
        if tensor > 1 and tensor_plan is None:
            raise SettingsError(
                "tensor > 1 needs tensor_plan: 'auto', the name of a ready plan or patterns of layer names"
            )
        self.tensor_plan = tensor_plan
        set_ranks_per_share(tensor)

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
            _share_randomness(mesh["tensor"])
        return self._wrap(model, {"device_mesh": mesh["replicate", "shard"]})

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


def _shape(replicate: int, shard: int, tensor: int, ranks: int) -> tuple[int, int, int]:
    """Lengths of the mesh's axes, with the length that -1 stands for.

    Raises:
        SettingsError: they do not fit the number of ranks.
    """
    if replicate < 1 or tensor < 1 or (shard < 1 and shard != -1):
        raise SettingsError(
            f"the axes of a mesh are 1 or more, got replicate={replicate}, shard={shard}, tensor={tensor}"
        )
    length = shard
    if shard == -1:
        length = ranks // (replicate * tensor)
    if replicate * length * tensor != ranks:
        raise SettingsError(
            f"replicate={replicate}, shard={shard}, tensor={tensor} do not multiply to the {ranks} ranks of this run: "
            "change one of them or the number of processes"
        )
    return replicate, length, tensor


def _share_randomness(mesh: DeviceMesh) -> None:
    """Gives the ranks of a tensor-parallel group the random numbers of its first: they compute the same samples."""
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
