"""BaseModel and what stands between the loader and it."""

from .base_model import BaseModel
from .data_preprocessor import BaseDataPreprocessor, ImgDataPreprocessor

__all__ = ["BaseModel", "ImgDataPreprocessor", "BaseDataPreprocessor"]
