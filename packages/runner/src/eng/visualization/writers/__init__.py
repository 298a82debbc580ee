"""One file per tracker. Importing them is cheap: each imports its tracker's library when it writes for the first time."""

from .aim import AimVisBackend
from .clearml import ClearMLVisBackend
from .dvclive import DVCLiveVisBackend
from .local import LocalVisBackend
from .mlflow import MLflowVisBackend
from .neptune import NeptuneVisBackend
from .tensorboard import TensorboardVisBackend
from .wandb import WandbVisBackend

__all__ = [
    "AimVisBackend",
    "ClearMLVisBackend",
    "DVCLiveVisBackend",
    "LocalVisBackend",
    "MLflowVisBackend",
    "NeptuneVisBackend",
    "TensorboardVisBackend",
    "WandbVisBackend",
]
