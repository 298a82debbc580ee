"""``mmengine.utils.manager``: named instances, which live in eng-registry."""

from __future__ import annotations

from eng.registry import ManagerMeta, ManagerMixin

__all__ = ["ManagerMeta", "ManagerMixin"]
