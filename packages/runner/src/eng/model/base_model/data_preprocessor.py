"""From the loader's batch to the model's: device, type, normalisation, padding."""

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

    It follows the model it is part of: whatever moves the model (``to``, ``cuda``, ``cpu``, a wrapper) moves it.

    Args:
        non_blocking: let the copy run beside the computation; useful for pinned memory (``pin_memory=True``).

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
        """``data`` with its tensors and data elements on :attr:`device`, in the same containers."""
        # plain classes first: asking an abstract one such as Mapping takes longer than the copy of a small tensor
        if isinstance(data, (torch.Tensor, BaseDataElement)):
            return data.to(self._device, non_blocking=self._non_blocking)
        if type(data) is tuple or type(data) is list:
            cast = [self.cast_data(item) for item in data]
            return cast if type(data) is list else tuple(cast)
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
        """The batch on the model's device.

        Args:
            data: a batch as the collate function gave it.
            training: whether it is for training; a subclass may augment then.
        """
        return self.cast_data(data)

    def _apply(self: Self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        # every move of a module passes here, also one of a parent; an empty tensor shows where to
        self._device = fn(torch.empty(0, device=self._device)).device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        return self


def _moved(data: Any, device: torch.device) -> Any:
    """A graph or packed sequence on a device; an object whose ``to`` takes no device, such as a quantity, as it is."""
    try:
        return data.to(device)
    # A quantity takes the device for a unit: astropy raises TypeError, pint AttributeError, others ValueError.
    except (TypeError, ValueError, AttributeError):
        return data


def _with_fields(data: Any, values: Mapping[str, Any]) -> Any:
    """A shallow copy of a dataclass object, frozen or not, with other values; its constructor is not called again."""
    changed = copy.copy(data)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Images: moved as they are, then channel order, float, normalisation, padding and stacking on the device.

    Args:
        mean: mean of each channel, or of all (one value), in the images' own range.
        std: standard deviation likewise; with ``mean``, or neither.
        pad_size_divisor: height and width are padded, at the bottom and right, to a multiple of it.
        pad_value: what they are padded with, after normalisation.
        bgr_to_rgb: turn the channels around.
        rgb_to_bgr: turn the channels around.
        non_blocking: see :class:`BaseDataPreprocessor`.

    Raises:
        ValueError: both channel conversions, one of ``mean`` and ``std`` alone, a number of
            values not 1 or 3, or a ``std`` of 0.

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
            present, missing = ("std", "mean") if mean is None else ("mean", "std")
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
        """A batch ready for the model.

        Args:
            data: ``inputs`` is a list of ``(C, H, W)`` images of any sizes or one ``(N, C, H, W)`` tensor, of any
                number type; ``data_samples`` may be missing.
            training: see :class:`BaseDataPreprocessor`.

        Returns:
            The same keys; ``inputs`` is ``(N, C, H, W)`` float32 on :attr:`device`, ``data_samples`` maybe None.

        Raises:
            BatchTypeError: ``data`` or ``inputs`` is of another type (a TypeError).
            ImageShapeError: an image has other dimensions or, when there are three means, not three channels.
        """
        data = self.cast_data(data)
        if not isinstance(data, dict) or "inputs" not in data:
            raise BatchTypeError(f"ImgDataPreprocessor takes a dict with 'inputs', got {_described(data)}")
        inputs = data["inputs"]
        if isinstance(inputs, torch.Tensor):
            data["inputs"] = self._padded(self._image(inputs, 4))
        elif isinstance(inputs, Sequence) and inputs and all(isinstance(image, torch.Tensor) for image in inputs):
            images = [self._image(image, 3) for image in inputs]
            data["inputs"] = stack_batch(images, self.pad_size_divisor, self.pad_value)
        else:
            raise BatchTypeError(
                f"'inputs' must be a tensor (N, C, H, W) or a list of tensors (C, H, W), got {_described(inputs)}; choose "
                "the collate_fn accordingly (pseudo_collate gives lists, default_collate tensors)"
            )
        data.setdefault("data_samples", None)
        return data

    def _image(self, image: torch.Tensor, dims: int) -> torch.Tensor:
        """Channel order, float, normalisation: ``(C, H, W)`` or ``(N, C, H, W)``, any number type, to float."""
        if self._enable_normalize and self.mean.shape[0] == 3 and (image.dim() != dims or image.shape[-3] != 3):
            wanted = "(3, H, W)" if dims == 3 else "(N, 3, H, W)"
            raise ImageShapeError(f"with three means an image must be {wanted}, got {tuple(image.shape)}")
        if image.dim() != dims:
            raise ImageShapeError(f"'inputs' must have {dims} dimensions here, got {tuple(image.shape)}")
        if self._channel_conversion:
            image = image.flip(-3)
        image = image.float()
        return (image - self.mean) / self.std if self._enable_normalize else image

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        divisor = self.pad_size_divisor
        bottom, right = (math.ceil(size / divisor) * divisor - size for size in (height, width))
        return functional.pad(images, (0, right, 0, bottom), "constant", self.pad_value) if bottom or right else images


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {list(value)}"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return f"a {type(value).__name__} of {', '.join(sorted({type(item).__name__ for item in value})) or 'nothing'}"
    return f"a {type(value).__name__}"
