"""Data elements: containers for annotations and predictions that dataset, model and metric exchange."""

from __future__ import annotations

from eng.structures._batch import collate, stack
from eng.structures._fields import Field
from eng.structures._version import __version__
from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import (
    FieldNameError,
    FieldTypeError,
    FieldValueError,
    LengthError,
    MissingFieldError,
    StructureError,
)
from eng.structures.instance_data import InstanceData
from eng.structures.label_data import LabelData
from eng.structures.pixel_data import PixelData

__all__ = [
    "BaseDataElement",
    "InstanceData",
    "LabelData",
    "PixelData",
    "Field",
    "collate",
    "stack",
    "FieldNameError",
    "FieldTypeError",
    "FieldValueError",
    "LengthError",
    "MissingFieldError",
    "StructureError",
    "__version__",
]
