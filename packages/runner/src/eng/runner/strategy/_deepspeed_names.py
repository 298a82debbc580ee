"""What eng reads of DeepSpeed's inside, which has no public way to it: read from 0.16 to 0.19, gathered here.

DeepSpeed hangs its bookkeeping onto parameters and optimizers, and which names there are depends on the stage of ZeRO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def is_partitioned(parameter: nn.Parameter) -> bool:
    """Whether stage 3 keeps a part of a parameter on each rank."""
    return hasattr(parameter, "ds_id")


def half_groups(zero: object) -> list[list[Any]] | None:
    """The half-precision parameters by group, in sub groups in stage 3; None where the engine has no such copies."""
    return getattr(zero, "bit16_groups", None) or getattr(zero, "fp16_groups", None)


def flat_masters(zero: object) -> Sequence[Any] | None:
    """The flat full-precision copies that stage 3 keeps out of the optimizer's groups; None in other stages."""
    return getattr(zero, "fp32_partitioned_groups_flat", None)


def make_lazy_state(zero: object) -> None:
    """Makes the optimizer state that the engine's first step would make."""
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._lazy_init_hp_params_optimizer_state()  # noqa: SLF001  # the engine's first step does so too


def refresh_masters(zero: object) -> None:
    """Takes the full-precision copies anew from weights that were loaded, where the engine has such copies."""
    if hasattr(zero, "refresh_fp32_params"):
        zero.refresh_fp32_params()
