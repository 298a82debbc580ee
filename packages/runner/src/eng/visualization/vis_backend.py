"""The module path under which libraries import trackers."""

from ._base import BaseVisBackend, force_init_env
from .writers import LocalVisBackend, TensorboardVisBackend

__all__ = ["BaseVisBackend", "LocalVisBackend", "TensorboardVisBackend", "force_init_env"]
