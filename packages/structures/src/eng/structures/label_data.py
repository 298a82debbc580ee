"""Labels of a whole sample."""

from __future__ import annotations

import torch
from torch import Tensor

from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError


class LabelData(BaseDataElement):
    """A data element for labels, with the two conversions between labels and one-hot vectors.

    Example:
        >>> import torch
        >>> hot = LabelData.label_to_onehot(torch.tensor([1]), num_classes=4)
        >>> hot, LabelData.onehot_to_label(hot)
        (tensor([0, 1, 0, 0]), tensor([1]))
    """

    @staticmethod
    def onehot_to_label(onehot: Tensor) -> Tensor:
        """The classes that are set.

        Args:
            onehot: (num_classes,), only zeros and ones, any type.

        Returns:
            (k,) int64, in ascending order.

        Raises:
            FieldTypeError: `onehot` is no tensor.
            FieldValueError: it has another number of dimensions, or other values.
        """
        _check_vector(onehot, "onehot", "num_classes")
        if not bool(((onehot == 0) | (onehot == 1)).all()):
            raise FieldValueError("onehot should hold zeros and ones only")
        return onehot.nonzero().view(-1)

    @staticmethod
    def label_to_onehot(label: Tensor, num_classes: int) -> Tensor:
        """A vector with a one for each label.

        Args:
            label: (k,) of a whole-number type, each in ``[0, num_classes)``.
            num_classes: length of the vector.

        Returns:
            (num_classes,) of the type and on the device of `label`.

        Raises:
            FieldTypeError: `label` is no tensor of whole numbers.
            FieldValueError: it has another number of dimensions, or a label is not below `num_classes`.
        """
        _check_vector(label, "label", "k")
        if label.is_floating_point() or label.is_complex() or label.dtype is torch.bool:
            raise FieldTypeError(f"label should hold whole numbers, but got a tensor of {label.dtype}")
        outside = label[(label < 0) | (label >= num_classes)]
        if outside.numel():
            raise FieldValueError(f"label should be in [0, {num_classes}), but got {outside.tolist()[:10]}")
        onehot = label.new_zeros(num_classes)
        onehot[label.long()] = 1
        return onehot


def _check_vector(value: Tensor, name: str, size: str) -> None:
    if not isinstance(value, Tensor):
        raise FieldTypeError(f"{name} should be a tensor, but got {type(value).__name__}")
    if value.dim() != 1:
        raise FieldValueError(f"{name} should be of shape ({size},), but got {tuple(value.shape)}")
