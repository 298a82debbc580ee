"""Access to private attributes of DeepSpeed's ZeRO optimizers, for which DeepSpeed 0.16 to 0.19 has no public function.

DeepSpeed stores its state as attributes of parameters and optimizers. Which attributes exist depends on the ZeRO stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def is_partitioned(parameter: nn.Parameter) -> bool:
    """Whether ZeRO stage 3 has partitioned a parameter over the ranks."""
    return hasattr(parameter, "ds_id")


def half_groups(zero: object) -> list[list[Any]] | None:
    """Returns the half-precision parameters of each parameter group (in ZeRO stage 3: of each sub-group).

    None means that the engine trains in full precision and has no half-precision parameters.
    """
    return getattr(zero, "bit16_groups", None) or getattr(zero, "fp16_groups", None)


def flat_masters(zero: object) -> Sequence[Any] | None:
    """Returns the flattened full-precision parameter copies of ZeRO stage 3; None in the other stages.

    These copies have optimizer state, but are in no parameter group of the optimizer.
    """
    return getattr(zero, "fp32_partitioned_groups_flat", None)


def make_lazy_state(zero: object) -> None:
    """Creates the optimizer state that DeepSpeed's engine otherwise creates in its first step.

    Does nothing if this ZeRO optimizer has no function for that purpose.
    """
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._lazy_init_hp_params_optimizer_state()  # noqa: SLF001  # the engine's first step does so too


def refresh_masters(zero: object) -> None:
    """Copies the model's loaded weights into the ZeRO optimizer's full-precision parameters, if there are any."""
    if hasattr(zero, "refresh_fp32_params"):
        zero.refresh_fp32_params()
