"""Computes the batch size of one rank from a batch size that is given for all ranks together."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from eng.dist import get_data_world_size

from ..errors import SettingsError
from .own_copy import own_copy


def with_batch_of_rank(dataloader: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """Copies a dataloader config, with ``batch_size`` (per rank) instead of ``global_batch_size`` (all ranks).

    Args:
        dataloader: the config; without a key ``global_batch_size``, the copy is equal.

    Raises:
        SettingsError: both sizes are given, or ``global_batch_size`` is no multiple of the number of ranks.

    Example:
        >>> with_batch_of_rank({"global_batch_size": 32, "num_workers": 2})  # one process
        {'num_workers': 2, 'batch_size': 32}
    """
    cfg = own_copy(dataloader)
    if "global_batch_size" not in cfg:
        return cfg
    global_size, ranks = cfg.pop("global_batch_size"), get_data_world_size()
    if "batch_size" in cfg:
        raise SettingsError(
            f"a dataloader has batch_size={cfg['batch_size']} for each rank and global_batch_size={global_size} for all: give one"
        )
    if not isinstance(global_size, int) or global_size < ranks or global_size % ranks:
        raise SettingsError(
            f"global_batch_size={global_size!r} cannot be shared evenly by {ranks} ranks: take a multiple of {ranks}, or another "
            "number of ranks"
        )
    cfg["batch_size"] = global_size // ranks
    return cfg
