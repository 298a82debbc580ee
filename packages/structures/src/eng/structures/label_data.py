"""`LabelData`, the data element for the class labels of a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError


class LabelData(BaseDataElement):
    """A data element for the class labels of a sample, with functions that convert labels to one-hot vectors and back.

    Example:
        >>> import torch
        >>> hot = LabelData.label_to_onehot(torch.tensor([1]), num_classes=4)
        >>> hot, LabelData.onehot_to_label(hot)
        (tensor([0, 1, 0, 0]), tensor([1]))
    """

    @staticmethod
    def onehot_to_label(onehot: Tensor) -> Tensor:
        """Returns the class labels that a one-hot vector encodes: the indices of its ones.

        Args:
            onehot: (num_classes,) tensor of zeros and ones, of any type.

        Returns:
            The labels as (k,) int64 tensor in ascending order.

        Raises:
            FieldTypeError: `onehot` is not a tensor.
            FieldValueError: `onehot` is not one-dimensional, or contains values other than 0 and 1.
        """
        _check_vector(onehot, "onehot", "num_classes")
        if not bool(((onehot == 0) | (onehot == 1)).all()):
            raise FieldValueError("onehot should hold zeros and ones only")
        return onehot.nonzero().view(-1)

    @staticmethod
    def label_to_onehot(label: Tensor, num_classes: int) -> Tensor:
        """Returns a one-hot vector of class labels: a vector with a one at the index of each label, and zeros elsewhere.

        Args:
            label: (k,) tensor of an integer type, with values in ``[0, num_classes)``.
            num_classes: length of the vector.

        Returns:
            (num_classes,) tensor with the type and device of `label`.

        Raises:
            FieldTypeError: `label` is not a tensor of integers.
            FieldValueError: `label` is not one-dimensional, or a label is outside ``[0, num_classes)``.
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
