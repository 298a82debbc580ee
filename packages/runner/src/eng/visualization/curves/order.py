"""The order in which curves are shown: losses and metrics first, then hyperparameters, then speed and memory."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["in_order", "is_timing"]

_TIMINGS = frozenset(
    {
        "time",
        "data_time",
        "eta",
        "memory",
        "samples_per_s",
        "tokens_per_s",
        "data_share",
        "mfu",
        "slowest_rank_lag",
        "host_memory",
        "recompiles",
    }
)
_SETTINGS = frozenset({"lr", "momentum", "grad_norm", "loss_scale", "weight_decay"})
_LOSS, _METRIC, _SETTING, _TIMING = range(4)


def is_timing(name: str) -> bool:
    """Whether a curve shows speed or memory use; such curves are shown last."""
    return _last(name) in _TIMINGS


def in_order(names: Iterable[str]) -> list[str]:
    """Sorts names of curves: losses, metrics, hyperparameters, then timings; each group in the original order.

    Example:
        >>> in_order(["lr", "data_time", "acc", "loss_ce", "loss"])
        ['loss', 'loss_ce', 'acc', 'lr', 'data_time']
    """
    return sorted(names, key=lambda name: (_group(name), name != "loss"))


def _group(name: str) -> int:
    """Returns the number of the group to which a curve belongs: losses, metrics, hyperparameters or timings.

    Curves are sorted by this number.
    """
    last = _last(name)
    if is_timing(name):
        return _TIMING
    if last in _SETTINGS or last.endswith("_lr"):
        return _SETTING
    if "loss" in last.lower():
        return _LOSS
    return _METRIC


def _last(name: str) -> str:
    return name.rpartition("/")[2]
