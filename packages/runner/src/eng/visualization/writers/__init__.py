"""One file per tracker. Importing them is cheap: each imports its tracker's library when it writes for the first time."""

from .local import LocalVisBackend
from .tensorboard import TensorboardVisBackend

__all__ = ["LocalVisBackend", "TensorboardVisBackend"]
