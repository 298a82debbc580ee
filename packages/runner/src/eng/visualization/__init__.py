"""Visualization: draws on images, and writes scalars, images and configs of a run to trackers."""

from .vis_backend import (
    AimVisBackend,
    BaseVisBackend,
    ClearMLVisBackend,
    CometVisBackend,
    DVCLiveVisBackend,
    LocalVisBackend,
    MLflowVisBackend,
    NeptuneVisBackend,
    SwanLabVisBackend,
    TensorboardVisBackend,
    TrackioVisBackend,
    WandbVisBackend,
)
from .visualizer import Visualizer

__all__ = [
    "AimVisBackend",
    "BaseVisBackend",
    "ClearMLVisBackend",
    "CometVisBackend",
    "DVCLiveVisBackend",
    "LocalVisBackend",
    "MLflowVisBackend",
    "NeptuneVisBackend",
    "SwanLabVisBackend",
    "TensorboardVisBackend",
    "TrackioVisBackend",
    "Visualizer",
    "WandbVisBackend",
]
