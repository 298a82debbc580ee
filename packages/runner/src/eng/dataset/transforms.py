"""Image transforms that need only torch (and Pillow for loading), and the registration of torchvision's transforms.

An image is a tensor ``(C, H, W)``: uint8 from 0 to 255 after loading, float32 after :class:`Normalize`. Random
transforms use torch's global generator, which a run seeds for each sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from eng.registry import TRANSFORMS

from ._torchvision import register_torchvision
from .errors import TransformError

Sample = dict[str, Any]
_DIRECTIONS = {"horizontal": -1, "vertical": -2}


class LoadImage:
    """Reads the image file whose path is in the sample, and rotates the image by its EXIF orientation.

    Args:
        key: key of the path in the sample. Defaults to ``"img_path"``, the key of :class:`ImageFolderDataset`.
        to: key for the image, a uint8 tensor ``(C, H, W)``. Defaults to ``"img"``.
        mode: Pillow's name of the channels: ``"RGB"`` (default), ``"L"`` for grey values. None keeps the channels of
            the file; the channel of a mask with a palette holds the class numbers.

    Raises:
        ImportError: Pillow is not installed.
        TransformError: the sample has no such key, or the file is no image; the message names the key or the path.
    """

    def __init__(self, key: str = "img_path", to: str = "img", mode: str | None = "RGB") -> None:
        self.key = key
        self.to = to
        self.mode = mode

    def __call__(self, sample: Sample) -> Sample:
        """Returns the sample with the image added."""
        path = Path(_value(self, sample, self.key)).expanduser()
        try:
            from PIL import Image, ImageOps, UnidentifiedImageError
        except ImportError as error:
            raise ImportError("LoadImage reads images by Pillow: pip install pillow") from error
        try:
            with Image.open(path) as file:
                image: Image.Image = ImageOps.exif_transpose(file)
                if self.mode is not None:
                    image = image.convert(self.mode)
                pixels = np.array(image)
        except (UnidentifiedImageError, SyntaxError, EOFError) as error:
            raise TransformError(f"LoadImage: {path} is no image that Pillow reads: {error}") from error
        except OSError as error:
            # An OSError of the operating system (the file is missing or unreadable) has an errno; an OSError that
            # Pillow raises for a damaged image has none. Only the second means that the image is damaged.
            if error.errno is not None:
                raise
            raise TransformError(f"LoadImage: {path} is cut short or damaged: {error}") from error
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        return {**sample, self.to: torch.from_numpy(pixels).permute(2, 0, 1).contiguous()}


class _ImageTransform:
    """Base class of transforms that change several images of a sample (those under ``keys``) in the same way.

    A random transform uses the same random numbers for all these images, for example for an image and its mask.
    """

    def __init__(self, keys: str | Sequence[str]) -> None:
        if isinstance(keys, str):
            keys = [keys]
        self.keys = list(keys)

    def __call__(self, sample: Sample) -> Sample:
        """Returns the sample with its images changed.

        Raises:
            TransformError: an image is missing or no tensor ``(C, H, W)``, or the images differ in height or width.
        """
        images = [_image(self, sample, key) for key in self.keys]
        sizes = [tuple(image.shape[-2:]) for image in images]
        if len(set(sizes)) > 1:
            listed = ", ".join(f"{key} {size[0]} x {size[1]}" for key, size in zip(self.keys, sizes, strict=True))
            raise TransformError(f"{type(self).__name__}: the images differ in size: {listed}; resize them before")
        return {**sample, **dict(zip(self.keys, self.change(images), strict=True))}

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Changes the images of one sample, which have the same height and width, and returns them."""
        raise NotImplementedError

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class Resize(_ImageTransform):
    """Resizes images.

    Args:
        size: ``(height, width)``; or a whole number, the length of the shorter side, which keeps the aspect ratio.
        interpolation: ``"bilinear"`` (default, with antialiasing), or ``"nearest"``, for masks.
        keys: keys of the images. Defaults to ``"img"``.

    Raises:
        TransformError: ``size`` is no pair of numbers above 0, or ``interpolation`` is unknown.
    """

    def __init__(
        self, size: int | Sequence[int], interpolation: str = "bilinear", keys: str | Sequence[str] = "img"
    ) -> None:
        super().__init__(keys)
        self.size: int | tuple[int, int]
        if isinstance(size, int):
            self.size = size
        else:
            self.size = _pair(self, size)
        if interpolation not in ("bilinear", "nearest"):
            raise TransformError(f"Resize's interpolation is 'bilinear' or 'nearest', not {interpolation!r}")
        self.interpolation = interpolation

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Returns the resized images."""
        return [self._resize(image) for image in images]

    def _resize(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """Resizes an image to ``size``, and converts the result back to the dtype of the image."""
        height, width = image_CHW.shape[-2:]
        size = self.size
        if isinstance(size, int):
            shorter = min(height, width)
            size = (size * height // shorter, size * width // shorter)
        if self.interpolation == "nearest":
            resized = functional.interpolate(image_CHW[None].double(), size, mode="nearest-exact")[0]
            return resized.to(image_CHW.dtype)
        values = image_CHW[None].float()
        resized = functional.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)[0]
        if image_CHW.is_floating_point():
            return resized
        return resized.round().clamp(0, 255).to(image_CHW.dtype)


class CenterCrop(_ImageTransform):
    """Crops the centre of images; an image that is too small is padded with zeros first.

    Args:
        size: ``(height, width)``, or a whole number for both.
        keys: keys of the images. Defaults to ``"img"``.
    """

    def __init__(self, size: int | Sequence[int], keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        self.size = _pair(self, size)

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Returns the centre of each image."""
        images = [_pad_to(image, self.size) for image in images]
        top, left = (round((length - size) / 2) for length, size in zip(images[0].shape[-2:], self.size, strict=True))
        return [image[..., top : top + self.size[0], left : left + self.size[1]] for image in images]


class RandomCrop(_ImageTransform):
    """Crops images at a random position; an image that is too small is padded with zeros first.

    Args:
        size: ``(height, width)``, or a whole number for both.
        padding: number of zeros to pad on each side before cropping. Defaults to 0.
        keys: keys of the images. Defaults to ``"img"``.
    """

    def __init__(self, size: int | Sequence[int], padding: int = 0, keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        self.size = _pair(self, size)
        self.padding = padding

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Crops the same region, whose position is random, from each image, and returns the crops."""
        images = [_pad_to(functional.pad(image, [self.padding] * 4), self.size) for image in images]
        top, left = (
            int(torch.randint(length - size + 1, ()))
            for length, size in zip(images[0].shape[-2:], self.size, strict=True)
        )
        return [image[..., top : top + self.size[0], left : left + self.size[1]] for image in images]


class RandomFlip(_ImageTransform):
    """Flips images at random.

    Args:
        prob: probability of a flip. Defaults to 0.5.
        direction: ``"horizontal"`` (default) swaps left and right, ``"vertical"`` swaps top and bottom.
        keys: keys of the images. Defaults to ``"img"``.

    Raises:
        TransformError: ``prob`` is not between 0 and 1, or ``direction`` is unknown.
    """

    def __init__(self, prob: float = 0.5, direction: str = "horizontal", keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        if not 0 <= prob <= 1:
            raise TransformError(f"RandomFlip's prob is a probability from 0 to 1, not {prob!r}")
        if direction not in _DIRECTIONS:
            raise TransformError(f"RandomFlip's direction is 'horizontal' or 'vertical', not {direction!r}")
        self.prob = prob
        self.direction = direction

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Flips all images or none of them, and returns them."""
        if float(torch.rand(())) >= self.prob:
            return images
        return [image.flip(_DIRECTIONS[self.direction]) for image in images]


class Normalize(_ImageTransform):
    """Subtracts a mean from each channel and divides by a standard deviation; the result is float32.

    Values of integer images, 0 to 255, are divided by 255 first.

    Args:
        mean: mean of each channel, for values from 0 to 1. Defaults to the means of ImageNet.
        std: standard deviation of each channel, for values from 0 to 1. Defaults to the deviations of ImageNet.
        keys: keys of the images. Defaults to ``"img"``.

    Raises:
        TransformError: ``mean`` and ``std`` differ in length, or a deviation is not above 0.
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        keys: str | Sequence[str] = "img",
    ) -> None:
        super().__init__(keys)
        self.mean = list(mean)
        self.std = list(std)
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise TransformError(
                f"Normalize takes a mean and a deviation above 0 for each channel, got mean={mean}, std={std}"
            )

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Returns the normalised images as float32."""
        return [self._normalize(image) for image in images]

    def _normalize(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """Returns an image as float32, minus the mean and divided by the standard deviation of each channel."""
        if len(self.mean) not in (1, len(image_CHW)):
            raise TransformError(
                f"Normalize has a mean for {len(self.mean)} channels, and the image has {len(image_CHW)}"
            )
        values = image_CHW.float()
        if not image_CHW.is_floating_point():
            values = values / 255
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (self.mean, self.std))
        return (values - mean) / std


def _value(transform: object, sample: Any, key: str) -> Any:
    name = type(transform).__name__
    if not isinstance(sample, Mapping):
        raise TransformError(f"{name} takes a sample that is a mapping, got {type(sample).__name__}")
    if key not in sample:
        raise TransformError(f"{name}: the sample has no key {key!r}; it has {', '.join(map(repr, sample)) or 'none'}")
    return sample[key]


def _image(transform: object, sample: Any, key: str) -> torch.Tensor:
    """Returns the image under a key of a sample; raises TransformError if it is no tensor (C, H, W)."""
    image = _value(transform, sample, key)
    if isinstance(image, torch.Tensor) and image.ndim == 3:
        return image
    shape = ""
    if hasattr(image, "shape"):
        shape = f" of shape {tuple(image.shape)}"
    raise TransformError(
        f"{type(transform).__name__}: {key!r} must be a tensor (channels, height, width), as LoadImage gives it, got "
        f"{type(image).__name__}{shape}"
    )


def _pair(transform: object, size: Any) -> tuple[int, int]:
    """Returns a size as (height, width); a single number counts for both."""
    if isinstance(size, int):
        numbers = [size, size]
    else:
        numbers = list(size)
    if len(numbers) != 2 or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise TransformError(f"{type(transform).__name__}'s size is (height, width) or a whole number, got {size!r}")
    return numbers[0], numbers[1]


def _pad_to(image_CHW: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pads an image with zeros, equally on both sides, to at least the given height and width."""
    height, width = (max(0, want - length) for want, length in zip(size, image_CHW.shape[-2:], strict=True))
    return functional.pad(image_CHW, [width // 2, width - width // 2, height // 2, height - height // 2])


# Fallbacks, so that a class with one of these names in a user's project takes precedence.
for _class in (LoadImage, Resize, CenterCrop, RandomCrop, RandomFlip, Normalize):
    TRANSFORMS.register_fallback(_class.__name__, _class)
register_torchvision()
