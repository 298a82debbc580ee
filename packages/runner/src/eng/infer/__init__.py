"""Inference: from paths, arrays or URLs to predictions and pictures."""

from .infer import BaseInferencer

__all__ = ["BaseInferencer"]
