"""``build_optimizer_from_cfg`` of ``mmengine.registry.build_functions``."""

from __future__ import annotations

from typing import Any

from eng.registry import Registry, build_from_cfg


def build_optimizer_from_cfg(cfg: Any, registry: Registry, default_args: Any = None) -> Any:
    """Builds an optimizer from a config; see :func:`eng.registry.build_from_cfg`."""
    return build_from_cfg(cfg, registry, default_args)
