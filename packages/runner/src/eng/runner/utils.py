"""Seeds the random generators, and splits changing intervals into milestones."""

from __future__ import annotations

import logging
import random

import numpy as np
import torch

from eng.dist import get_rank, sync_random_seed

logger = logging.getLogger(__name__)


def calc_dynamic_intervals(
    start_interval: int, dynamic_interval_list: list[tuple[int, int]] | None = None
) -> tuple[list[int], list[int]]:
    """Returns the milestones at which an interval changes, and the interval that starts at each of them.

    Args:
        start_interval: the interval from epoch or iteration 0 to the first milestone.
        dynamic_interval_list: pairs ``(milestone, interval)`` in ascending order.

    Example:
        >>> calc_dynamic_intervals(5, [(10, 2), (20, 1)])
        ([0, 10, 20], [5, 2, 1])
    """
    pairs = dynamic_interval_list or []
    return [0, *(milestone for milestone, _ in pairs)], [start_interval, *(interval for _, interval in pairs)]


def set_random_seed(seed: int | None = None, deterministic: bool = False, diff_rank_seed: bool = False) -> int:
    """Seeds Python's, NumPy's and PyTorch's generators.

    Args:
        seed: 0 to 2**32 - 1; None draws a seed that is the same on all ranks.
        deterministic: whether cuDNN and PyTorch use deterministic algorithms only.
        diff_rank_seed: whether each rank adds its rank to the seed.

    Returns:
        The seed without the rank.
    """
    if seed is None:
        seed = sync_random_seed()
    rank_seed = seed
    if diff_rank_seed:
        rank_seed += get_rank()
    random.seed(rank_seed)
    np.random.seed(rank_seed % 2**32)  # noqa: NPY002  - users' transforms draw from the global generator
    torch.manual_seed(rank_seed)
    if deterministic:
        if torch.backends.cudnn.benchmark:
            logger.warning("cudnn_benchmark is turned off: it chooses algorithms by their speed, not reproducibly")
            torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True)
    return seed
