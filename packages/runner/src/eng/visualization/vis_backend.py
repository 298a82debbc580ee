"""The trackers, at the module path from which libraries of MMEngine import them."""

from ._base import BaseVisBackend, force_init_env
from .writers import (
    AimVisBackend,
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
    "WandbVisBackend",
    "force_init_env",
]
