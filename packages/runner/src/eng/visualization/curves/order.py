"""The order in which curves are shown: what tells how good a run is before what tells how fast."""

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
    """Whether a curve tells speed or memory, which a reader looks for last."""
    return _last(name) in _TIMINGS


def in_order(names: Iterable[str]) -> list[str]:
    """Losses, metrics, settings such as rates, then timings; within each in the order in which they were first written.

    Example:
        >>> in_order(["lr", "data_time", "acc", "loss_ce", "loss"])
        ['loss', 'loss_ce', 'acc', 'lr', 'data_time']
    """
    return sorted(names, key=lambda name: (_group(name), name != "loss"))


def _group(name: str) -> int:
    last = _last(name)
    if is_timing(name):
        return _TIMING
    if last in _SETTINGS or last.endswith("_lr"):
        return _SETTING
    return _LOSS if "loss" in last.lower() else _METRIC


def _last(name: str) -> str:
    return name.rpartition("/")[2]
