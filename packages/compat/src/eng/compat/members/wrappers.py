"""Attributes of MMEngine's ``ApexOptimWrapper`` that contain its settings."""

from __future__ import annotations

from typing import Any

_NAMES = (
    "opt_level", "loss_scale", "enabled", "cast_model_type", "patch_torch_functions", "keep_batchnorm_fp32",
    "master_weights", "cast_model_outputs", "num_losses", "verbosity", "min_loss_scale", "max_loss_scale",
)  # fmt: skip


def _option_property(name: str) -> property:
    """Returns a property that reads and sets an option of the ``ApexOptimWrapper``, such as ``opt_level``."""

    def read(wrapper: Any) -> Any:
        return wrapper._settings[name]  # noqa: SLF001  # private options of the wrapper, which this property publishes

    def assign(wrapper: Any, value: Any) -> None:
        wrapper._settings[name] = value  # noqa: SLF001  # private options of the wrapper, which this property publishes

    return property(read, assign)


MEMBERS = {"ApexOptimWrapper": type("OfApexOptimWrapper", (), {name: _option_property(name) for name in _NAMES})}
