"""Replaces ``mmengine.utils.manager``; its classes are those of eng-registry."""

from __future__ import annotations

from eng.registry import ManagerMeta, ManagerMixin

__all__ = ["ManagerMeta", "ManagerMixin"]
