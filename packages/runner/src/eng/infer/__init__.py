"""Inference: from paths, arrays or URLs to predictions and pictures."""

from .errors import InputError
from .infer import BaseInferencer

__all__ = ["BaseInferencer", "InputError"]
