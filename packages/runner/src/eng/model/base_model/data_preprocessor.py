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

    As a submodule of the model, the preprocessor learns the device when the model is moved (``to``, ``cuda``, ...).

    Args:
        non_blocking: whether the copy may run in parallel with computation; has an effect for pinned memory
            (``pin_memory=True`` of the dataloader).

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
        """Returns nested data with its tensors and data elements moved to :attr:`device`.

        Args:
            data: a batch; values of other types are returned as they are.
        """
        # Concrete classes are checked first: isinstance with an abstract class such as Mapping takes longer than
        # copying a small tensor.
        if isinstance(data, (torch.Tensor, BaseDataElement)):
            return data.to(self._device, non_blocking=self._non_blocking)
        if type(data) is tuple or type(data) is list:
            cast = [self.cast_data(item) for item in data]
            if type(data) is list:
                return cast
            return tuple(cast)
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
            return type(data)(self.cast_data(item) for item in data)  # type: ignore[call-arg]  # lists and tuples
        return data

    def forward(self, data: Any, training: bool = False) -> Any:
        """Returns the batch on the model's device.

        Args:
            data: a batch, as the collate function returned it.
            training: whether the batch is for training, so that a subclass may augment it.
        """
        return self.cast_data(data)

    def _apply(self: Self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        # torch calls this method whenever the module or a parent is moved. Moving an empty tensor tells the new device.
        self._device = fn(torch.empty(0, device=self._device)).device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        return self


def _moved(data: Any, device: torch.device) -> Any:
    """Moves an object such as a graph or a packed sequence; returns it as it is if its ``to`` takes no device."""
    try:
        return data.to(device)
    except (TypeError, ValueError, AttributeError):
        # ``to`` of a physical quantity converts the unit. For a device astropy raises TypeError, pint AttributeError.
        return data


def _with_fields(data: Any, values: Mapping[str, Any]) -> Any:
    """Returns a shallow copy of a dataclass object (also a frozen one) with other values, without its constructor."""
    changed = copy.copy(data)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Moves images to the device, and there reverses channels, converts to float, normalises, pads and stacks them.

    Args:
        mean: mean of each channel, or one mean for all channels, in the value range of the images.
        std: standard deviation of each channel, or one for all channels. Needs ``mean``.
        pad_size_divisor: height and width are padded, at the bottom and right, to a multiple of this number.
        pad_value: value of the padding, after normalisation.
        bgr_to_rgb: whether to reverse the order of the channels.
        rgb_to_bgr: whether to reverse the order of the channels.
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
        """Returns the batch with stacked, normalised images on the device.

        Args:
            data: a dict whose ``inputs`` is a list of ``(C, H, W)`` images of any sizes, or a ``(N, C, H, W)`` tensor,
                with numbers of any type; ``data_samples`` is optional.
            training: see :class:`BaseDataPreprocessor`.

        Returns:
            a dict with the same keys; ``inputs`` is ``(N, C, H, W)`` float32 on :attr:`device`, and a missing
            ``data_samples`` is None.

        Raises:
            BatchTypeError: ``data`` is no dict with ``inputs``, or ``inputs`` has another type (a TypeError).
            ImageShapeError: an image has another number of dimensions or, with three means, not three channels.
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
        """Reverses the channels if asked for, converts to float, and normalises.

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
        """Pads height and width, at the bottom and right, to multiples of ``pad_size_divisor``."""
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
