"""What eng reads of DeepSpeed's inside, which has no public way to it: read from 0.16 to 0.19, gathered here.

DeepSpeed hangs its bookkeeping onto parameters and optimizers, and which names there are depends on the stage of ZeRO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def is_partitioned(parameter: nn.Parameter) -> bool:
    """Whether ZeRO stage 3 has partitioned a parameter over the ranks."""
    return hasattr(parameter, "ds_id")


def half_groups(zero: object) -> list[list[Any]] | None:
    """Returns the half-precision parameters by group, or by sub-group in stage 3; None if the engine has none."""
    return getattr(zero, "bit16_groups", None) or getattr(zero, "fp16_groups", None)


def flat_masters(zero: object) -> Sequence[Any] | None:
    """Returns the flattened full-precision copies of stage 3, which are in no parameter group; None in other stages."""
    return getattr(zero, "fp32_partitioned_groups_flat", None)


def make_lazy_state(zero: object) -> None:
    """Creates the optimizer state, which the engine otherwise creates in its first step."""
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._lazy_init_hp_params_optimizer_state()  # noqa: SLF001  # the engine's first step does so too


def refresh_masters(zero: object) -> None:
    """Copies loaded weights into the engine's full-precision copies, if it has some."""
    if hasattr(zero, "refresh_fp32_params"):
        zero.refresh_fp32_params()
