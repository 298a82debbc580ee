"""The trackers, one module each. A tracker's library is imported at the first write, so importing this package is cheap."""

from .aim import AimVisBackend
from .clearml import ClearMLVisBackend
from .comet import CometVisBackend
from .dvclive import DVCLiveVisBackend
from .local import LocalVisBackend
from .mlflow import MLflowVisBackend
from .neptune import NeptuneVisBackend
from .swanlab import SwanLabVisBackend
from .tensorboard import TensorboardVisBackend
from .trackio import TrackioVisBackend
from .wandb import WandbVisBackend

__all__ = [
    "AimVisBackend",
    "ClearMLVisBackend",
    "CometVisBackend",
    "DVCLiveVisBackend",
    "LocalVisBackend",
    "MLflowVisBackend",
    "NeptuneVisBackend",
    "SwanLabVisBackend",
    "TensorboardVisBackend",
    "TrackioVisBackend",
    "WandbVisBackend",
]
