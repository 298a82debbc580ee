"""Inference: run a trained model on files, URLs or arrays, and get predictions and images with drawn predictions."""

from .errors import InputError
from .infer import BaseInferencer

__all__ = ["BaseInferencer", "InputError"]
