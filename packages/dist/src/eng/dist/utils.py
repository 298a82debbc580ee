"""Re-exports `init_dist` and the functions about ranks under the module path that they have in MMEngine."""

from __future__ import annotations

from eng.dist._casting import cast_data_device, get_comm_device, get_data_device
from eng.dist._environment import (
    get_backend,
    get_default_group,
    get_dist_info,
    get_local_group,
    get_local_rank,
    get_local_size,
    get_rank,
    get_world_size,
    init_local_group,
    is_distributed,
    is_main_process,
    master_only,
)
from eng.dist._init import infer_launcher, init_dist
from eng.dist._tensors import barrier

__all__ = [
    "barrier",
    "cast_data_device",
    "get_backend",
    "get_comm_device",
    "get_data_device",
    "get_default_group",
    "get_dist_info",
    "get_local_group",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "infer_launcher",
    "init_dist",
    "init_local_group",
    "is_distributed",
    "is_main_process",
    "master_only",
]
