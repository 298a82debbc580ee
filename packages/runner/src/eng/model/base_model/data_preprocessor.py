"""Data preprocessors: move a batch to the model's device, and normalise, pad and stack images."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional

from eng.model.errors import BatchTypeError, ImageShapeError, ModelValueError
from eng.model.utils import stack_batch
from eng.registry import MODELS
from eng.structures import BaseDataElement

from ._vendor_devices import VendorDevices

Self = TypeVar("Self", bound="BaseDataPreprocessor")


@MODELS.register_module()
class BaseDataPreprocessor(VendorDevices, nn.Module):
    """Moves a batch to the model's device.

    The preprocessor is a submodule of the model, so that ``model.to(device)`` and ``model.cuda()`` also set the device
    that batches are moved to.

    Args:
        non_blocking: whether the copy to the device may run in parallel with computation. The copy does so only if the
            batch is in pinned memory (``pin_memory=True`` of the dataloader). Defaults to False.

    Examples:
        >>> BaseDataPreprocessor()({"inputs": [torch.ones(1)], "name": "a"})
        {'inputs': [tensor([1.])], 'name': 'a'}
    """

    def __init__(self, non_blocking: bool | None = False) -> None:
        super().__init__()
        self._non_blocking = bool(non_blocking)
        self._device = torch.device("cpu")

    @property
    def device(self) -> torch.device:
        """The device that batches are moved to."""
        return self._device

    def cast_data(self, data: Any) -> Any:
        """Returns a batch in which all tensors, and all other objects that can be moved, are on :attr:`device`.

        Args:
            data: a batch: a tensor, a data element, an object with a method ``to``, or a nested dict, list, tuple or
                dataclass object of such values. Texts, numbers and other values are returned unchanged.
        """
        # Tensors, tuples and lists are checked first, since isinstance(data, Mapping), a check against an abstract
        # class, takes longer than copying a small tensor.
        # Tensor.to would return the same tensor, too, but takes about 2 microseconds.
        if isinstance(data, torch.Tensor) and data.device == self._device:
            return data
        if isinstance(data, (torch.Tensor, BaseDataElement)):
            return data.to(self._device, non_blocking=self._non_blocking)
        if type(data) is tuple or type(data) is list:
            return type(data)(map(self.cast_data, data))
        if isinstance(data, Mapping):
            return {key: self.cast_data(value) for key, value in data.items()}
        if data is None or isinstance(data, (str, bytes)):
            return data
        if callable(getattr(data, "to", None)) and not isinstance(data, type):
            return _moved(data, self._device)
        if is_dataclass(data) and not isinstance(data, type):
            names = [item.name for item in fields(data) if hasattr(data, item.name)]
            return _with_fields(data, {name: self.cast_data(getattr(data, name)) for name in names})
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(self.cast_data(item) for item in data))
        if isinstance(data, Sequence):
            return type(data)(self.cast_data(item) for item in data)  # type: ignore[call-arg]  # from an iterable
        return data

    def forward(self, data: Any, training: bool = False) -> Any:
        """Returns the batch, moved to the model's device.

        Args:
            data: a batch, as the collate function of the dataloader returned it.
            training: whether the batch is for training; a subclass may augment the batch then. Unused here.
        """
        return self.cast_data(data)

    def _apply(self: Self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        # torch calls _apply(fn) when the module or a parent module is moved; fn moves a tensor. The preprocessor has no
        # parameters, so fn is applied to an empty tensor, whose device is then the new device.
        self._device = fn(torch.empty(0, device=self._device)).device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        return self


def _moved(data: Any, device: torch.device) -> Any:
    """Returns an object with a method ``to``, such as a graph or a packed sequence, moved to the device.

    If the object's ``to`` has another purpose and refuses a device, the object is returned unchanged.
    """
    try:
        return data.to(device)
    except (TypeError, ValueError, AttributeError):
        # ``to`` of a physical quantity converts units: astropy's raises TypeError for a device, pint's AttributeError.
        # Such an object has no device and is returned unchanged.
        return data


def _with_fields(data: Any, values: Mapping[str, Any]) -> Any:
    """Returns a shallow copy of a dataclass object with other field values, without calling the class's constructor.

    A frozen dataclass is accepted, since the values are set by ``object.__setattr__``.
    """
    changed = copy.copy(data)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch of images to the model's device, and normalises, pads and stacks the images there.

    The order of the steps is: reverse the channels (if set), convert to float32, normalise (if ``mean`` is set), pad to
    the largest image of the batch, stack.

    Args:
        mean: mean of each channel, or one mean for all channels, in the value range of the images (such as 0 to 255).
            None (default) does not normalise.
        std: standard deviation of each channel, or one for all channels. Needs ``mean``.
        pad_size_divisor: height and width are padded, at the bottom and right, to a multiple of this number.
        pad_value: value of the padded pixels; padding follows normalisation, so the value is not normalised.
        bgr_to_rgb: whether to convert BGR images to RGB, by reversing the order of the channels.
        rgb_to_bgr: whether to convert RGB images to BGR, by reversing the order of the channels.
        non_blocking: see :class:`BaseDataPreprocessor`.

    Raises:
        ValueError: both channel conversions are set, only one of ``mean`` and ``std`` is set, they have neither 1 nor 3
            values, or a ``std`` is 0.

    Examples:
        >>> preprocess = ImgDataPreprocessor(mean=[128.0], std=[2.0], pad_size_divisor=4)
        >>> batch = preprocess({"inputs": [torch.full((3, 2, 3), 130, dtype=torch.uint8)]})
        >>> batch["inputs"].shape, batch["inputs"][0, 0, 0, 0].item(), batch["data_samples"]
        (torch.Size([1, 3, 4, 4]), 1.0, None)
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool | None = False,
    ) -> None:
        super().__init__(non_blocking)
        if bgr_to_rgb and rgb_to_bgr:
            raise ModelValueError("bgr_to_rgb and rgb_to_bgr undo each other: set one of them")
        if (mean is None) != (std is None):
            present, missing = "mean", "std"
            if mean is None:
                present, missing = "std", "mean"
            raise ModelValueError(f"{present} came without {missing}; normalisation needs both, and none leaves it out")
        self._enable_normalize = mean is not None
        if mean is not None and std is not None:
            for name, values in (("mean", mean), ("std", std)):
                if len(values) not in (1, 3):
                    raise ModelValueError(
                        f"{name} needs one value for all channels, or three, got {len(values)}: {values}"
                    )
            if not all(std):
                raise ModelValueError(
                    f"std must not be 0, as images are divided by it, got {std}; 1 leaves a channel as it is"
                )
            self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), False)
            self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), False)
        self._channel_conversion = rgb_to_bgr or bgr_to_rgb
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: Any, training: bool = False) -> Any:
        """Returns the batch with its images normalised, padded and stacked into one tensor on the device.

        Args:
            data: a dict with the images under ``inputs``, a list of ``(C, H, W)`` tensors of any sizes or one
                ``(N, C, H, W)`` tensor, of any dtype. The annotations under ``data_samples`` may be missing.
            training: see :class:`BaseDataPreprocessor`.

        Returns:
            a dict with the same keys; ``inputs`` is ``(N, C, H, W)`` float32 on :attr:`device`, and a missing
            ``data_samples`` is None.

        Raises:
            BatchTypeError: ``data`` is no dict with ``inputs``, or ``inputs`` has another type (a TypeError).
            ImageShapeError: an image has not three (a batch not four) dimensions, or, with three means, not three
                channels.
        """
        data = self.cast_data(data)
        if not isinstance(data, dict) or "inputs" not in data:
            raise BatchTypeError(f"ImgDataPreprocessor takes a dict with 'inputs', got {_described(data)}")
        inputs = data["inputs"]
        if isinstance(inputs, torch.Tensor):
            data["inputs"] = self._pad(self._normalize(inputs, 4))
        elif isinstance(inputs, Sequence) and inputs and all(isinstance(image, torch.Tensor) for image in inputs):
            images = [self._normalize(image, 3) for image in inputs]
            data["inputs"] = stack_batch(images, self.pad_size_divisor, self.pad_value)
        else:
            raise BatchTypeError(
                f"'inputs' must be a tensor (N, C, H, W) or a list of tensors (C, H, W), got {_described(inputs)}; choose "
                "the collate_fn accordingly (pseudo_collate gives lists, default_collate tensors)"
            )
        data.setdefault("data_samples", None)
        return data

    def _normalize(self, image: torch.Tensor, dims: int) -> torch.Tensor:
        """Returns images as float32, with the channels reversed and the values normalised where the settings say so.

        Args:
            image: ``(C, H, W)`` or ``(N, C, H, W)``, numbers of any type.
            dims: expected number of dimensions, 3 or 4.

        Raises:
            ImageShapeError: the image has another number of dimensions, or a number of channels that differs from that of the means.
        """
        if self._enable_normalize and self.mean.shape[0] == 3 and (image.dim() != dims or image.shape[-3] != 3):
            wanted = {3: "(3, H, W)", 4: "(N, 3, H, W)"}[dims]
            raise ImageShapeError(f"with three means an image must be {wanted}, got {tuple(image.shape)}")
        if image.dim() != dims:
            raise ImageShapeError(f"'inputs' must have {dims} dimensions here, got {tuple(image.shape)}")
        if self._channel_conversion:
            image = image.flip(-3)
        image = image.float()
        if not self._enable_normalize:
            return image
        return (image - self.mean) / self.std

    def _pad(self, images: torch.Tensor) -> torch.Tensor:
        """Pads the height and width of images, at the bottom and right, to multiples of ``pad_size_divisor``."""
        height, width = images.shape[-2:]
        divisor = self.pad_size_divisor
        bottom, right = (math.ceil(size / divisor) * divisor - size for size in (height, width))
        if not bottom and not right:
            return images
        return functional.pad(images, (0, right, 0, bottom), "constant", self.pad_value)


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {list(value)}"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return f"a {type(value).__name__} of {', '.join(sorted({type(item).__name__ for item in value})) or 'nothing'}"
    return f"a {type(value).__name__}"
