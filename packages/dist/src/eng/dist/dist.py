"""Re-exports the collectives under the module path that they have in MMEngine."""

from __future__ import annotations

from eng.dist._fused import all_reduce_dict, all_reduce_params
from eng.dist._objects import all_gather_object, broadcast_object_list, gather_object, sync_random_seed
from eng.dist._results import collect_results, collect_results_cpu, collect_results_gpu
from eng.dist._tensors import all_gather, all_reduce, broadcast, gather

__all__ = [
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "all_reduce_dict",
    "all_reduce_params",
    "broadcast",
    "broadcast_object_list",
    "collect_results",
    "collect_results_cpu",
    "collect_results_gpu",
    "gather",
    "gather_object",
    "sync_random_seed",
]
