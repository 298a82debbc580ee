"""BaseModel, and the data preprocessors that prepare the batches of a dataloader for a model."""

from .base_model import BaseModel
from .data_preprocessor import BaseDataPreprocessor, ImgDataPreprocessor

__all__ = ["BaseModel", "ImgDataPreprocessor", "BaseDataPreprocessor"]
