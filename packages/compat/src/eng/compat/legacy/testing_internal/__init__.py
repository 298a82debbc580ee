"""``mmengine.testing._internal``: test cases of several processes."""

from __future__ import annotations

from .distributed import MultiProcessTestCase

__all__ = ["MultiProcessTestCase"]
