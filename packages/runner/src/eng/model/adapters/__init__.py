"""Use models that were not written for eng: plain torch modules and models of timm, torchvision and transformers."""

from .building import OPTIONS, adapt, build_model, takes_options
from .libraries import by_prefix, timm_model, torchvision_model, transformers_model
from .losses import build_loss, register_torch_losses
from .low_rank import merged_model, peft_model
from .predictions import Predictions
from .supervised import SupervisedModel

__all__ = [
    "OPTIONS",
    "Predictions",
    "SupervisedModel",
    "adapt",
    "build_loss",
    "build_model",
    "by_prefix",
    "merged_model",
    "peft_model",
    "register_torch_losses",
    "takes_options",
    "timm_model",
    "torchvision_model",
    "transformers_model",
]
