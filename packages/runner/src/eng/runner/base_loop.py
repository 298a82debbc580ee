"""The module path under which libraries import the base of loops."""

from .loops.base import BaseLoop

__all__ = ["BaseLoop"]
