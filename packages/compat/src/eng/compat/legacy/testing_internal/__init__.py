"""Replaces ``mmengine.testing._internal``: test cases that run in several processes."""

from __future__ import annotations

from .distributed import MultiProcessTestCase

__all__ = ["MultiProcessTestCase"]
