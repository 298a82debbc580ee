"""Which share of the data a rank reads. Ranks that compute a sample together (tensor parallelism) read the same share."""

from __future__ import annotations

from eng.dist._environment import get_default_group, get_rank, get_world_size
from eng.dist._per_group import PerGroup
from eng.dist.errors import DistError

__all__ = ["get_data_rank", "get_data_world_size", "get_ranks_per_share", "set_ranks_per_share"]

# Ranks per share of the data, by the group of all processes. A process group that is created after this one was
# destroyed has no entry, so its ranks read one share each, which is the default.
_RANKS: PerGroup[int] = PerGroup()


def set_ranks_per_share(count: int) -> None:
    """Sets how many consecutive ranks read the same share of the data; the ranks of a tensor-parallel group do.

    All ranks must call this function with the same number, before samplers and dataloaders are built.

    Args:
        count: number of ranks per share; 1 gives each rank its own share.

    Raises:
        DistError: the number of ranks is not a multiple of `count`.
    """
    group, size = get_default_group(), get_world_size()
    if count < 1 or size % count:
        raise DistError(f"{size} ranks cannot be divided into groups of {count} that read the same data")
    if group is not None:
        _RANKS.set(group, count)


def get_ranks_per_share() -> int:
    """Returns how many consecutive ranks read the same share of the data, as :func:`set_ranks_per_share` set it.

    The default is 1: each rank reads its own share.

    Example:
        >>> get_ranks_per_share()
        1
    """
    group = get_default_group()
    return 1 if group is None else _RANKS.get(group) or 1


def get_data_rank() -> int:
    """Returns the index of the share of the data that this process reads.

    Example:
        >>> get_data_rank()
        0
    """
    return get_rank() // get_ranks_per_share()


def get_data_world_size() -> int:
    """Returns the number of shares into which the data is divided.

    Example:
        >>> get_data_world_size()
        1
    """
    return get_world_size() // get_ranks_per_share()
