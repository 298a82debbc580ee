"""Attributes of MMEngine's ``ApexOptimWrapper`` that contain its settings."""

from __future__ import annotations

from typing import Any

_NAMES = (
    "opt_level", "loss_scale", "enabled", "cast_model_type", "patch_torch_functions", "keep_batchnorm_fp32",
    "master_weights", "cast_model_outputs", "num_losses", "verbosity", "min_loss_scale", "max_loss_scale",
)  # fmt: skip


def _setting(name: str) -> property:
    def read(wrapper: Any) -> Any:
        return wrapper._settings[name]  # noqa: SLF001  # the wrapper's own

    def assign(wrapper: Any, value: Any) -> None:
        wrapper._settings[name] = value  # noqa: SLF001  # the wrapper's own

    return property(read, assign)


MEMBERS = {"ApexOptimWrapper": type("OfApexOptimWrapper", (), {name: _setting(name) for name in _NAMES})}
