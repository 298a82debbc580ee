"""Transforms of images for a first project, and those of torchvision on samples that are mappings.

An image is a tensor ``(C, H, W)``: uint8 from 0 to 255 as it is loaded, float32 behind :class:`Normalize`. Every random
transform draws from torch's generator, which a run seeds for each sample.
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
    """Reads the image file that a sample names, upright by its EXIF orientation.

    Args:
        key: of the path. ``"img_path"`` by default, as :class:`ImageFolderDataset` has it.
        to: key of the image, a uint8 tensor ``(C, H, W)``. ``"img"`` by default.
        mode: Pillow's name of the channels: ``"RGB"`` (default), ``"L"`` for grey values; None keeps those of the file,
            which are the class numbers of a mask with a palette.

    Raises:
        ImportError: Pillow is not installed.
        TransformError: the sample has no such key, or the file is no image; key or path is named.
    """

    def __init__(self, key: str = "img_path", to: str = "img", mode: str | None = "RGB") -> None:
        self.key, self.to, self.mode = key, to, mode

    def __call__(self, sample: Sample) -> Sample:
        """The sample with the image."""
        path = Path(_value(self, sample, self.key)).expanduser()
        try:
            from PIL import Image, ImageOps, UnidentifiedImageError
        except ImportError as error:
            raise ImportError("LoadImage reads images by Pillow: pip install pillow") from error
        try:
            with Image.open(path) as file:
                upright = ImageOps.exif_transpose(file)
                pixels = np.array(upright if self.mode is None else upright.convert(self.mode))
        except (UnidentifiedImageError, SyntaxError, EOFError) as error:
            raise TransformError(f"LoadImage: {path} is no image that Pillow reads: {error}") from error
        except OSError as error:
            if error.errno is not None:  # a missing file, or one that may not be read
                raise
            raise TransformError(f"LoadImage: {path} is cut short or damaged: {error}") from error
        image_HWC = pixels if pixels.ndim == 3 else pixels[..., None]
        return {**sample, self.to: torch.from_numpy(image_HWC).permute(2, 0, 1).contiguous()}


class _ImageTransform:
    """Base: changes the images of a sample that ``keys`` name, all in the same way."""

    def __init__(self, keys: str | Sequence[str]) -> None:
        self.keys = [keys] if isinstance(keys, str) else list(keys)

    def __call__(self, sample: Sample) -> Sample:
        """The sample with its images changed.

        Raises:
            TransformError: an image is missing, is no tensor ``(C, H, W)``, or differs in height or width from another one.
        """
        images = [_image(self, sample, key) for key in self.keys]
        sizes = [tuple(image.shape[-2:]) for image in images]
        if len(set(sizes)) > 1:
            listed = ", ".join(f"{key} {size[0]} x {size[1]}" for key, size in zip(self.keys, sizes, strict=True))
            raise TransformError(f"{type(self).__name__}: the images differ in size: {listed}; resize them before")
        return {**sample, **dict(zip(self.keys, self.change(images), strict=True))}

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """The images, all of one height and width, changed."""
        raise NotImplementedError

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class Resize(_ImageTransform):
    """Scales images.

    Args:
        size: ``(height, width)``; a whole number is the length of the shorter side, and the aspect ratio stays.
        interpolation: ``"bilinear"`` (default, with antialiasing), or ``"nearest"``, which is right for masks.
        keys: of the images. ``"img"`` by default.

    Raises:
        TransformError: ``size`` is no pair of numbers above 0, or ``interpolation`` is unknown.
    """

    def __init__(
        self, size: int | Sequence[int], interpolation: str = "bilinear", keys: str | Sequence[str] = "img"
    ) -> None:
        super().__init__(keys)
        self.size = size if isinstance(size, int) else _pair(self, size)
        if interpolation not in ("bilinear", "nearest"):
            raise TransformError(f"Resize's interpolation is 'bilinear' or 'nearest', not {interpolation!r}")
        self.interpolation = interpolation

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """The images in the size."""
        return [self._resized(image) for image in images]

    def _resized(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """The image at the size that is asked for; one number is the length of the shorter edge."""
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
        return resized if image_CHW.is_floating_point() else resized.round().clamp(0, 255).to(image_CHW.dtype)


class CenterCrop(_ImageTransform):
    """Cuts the middle out of images; an image that is too small gets a border of zeros.

    Args:
        size: ``(height, width)``, or a whole number for both.
        keys: of the images. ``"img"`` by default.
    """

    def __init__(self, size: int | Sequence[int], keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        self.size = _pair(self, size)

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """The middle of each image."""
        images = [_padded_to(image, self.size) for image in images]
        top, left = (round((length - size) / 2) for length, size in zip(images[0].shape[-2:], self.size, strict=True))
        return [image[..., top : top + self.size[0], left : left + self.size[1]] for image in images]


class RandomCrop(_ImageTransform):
    """Cuts a piece out of images at a random place; an image that is too small gets a border of zeros.

    Args:
        size: ``(height, width)``, or a whole number for both.
        padding: width of a border of zeros that is added on each side before. 0 by default.
        keys: of the images. ``"img"`` by default.
    """

    def __init__(self, size: int | Sequence[int], padding: int = 0, keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        self.size = _pair(self, size)
        self.padding = padding

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Cuts the same region out of each image."""
        images = [_padded_to(functional.pad(image, [self.padding] * 4), self.size) for image in images]
        top, left = (
            int(torch.randint(length - size + 1, ()))
            for length, size in zip(images[0].shape[-2:], self.size, strict=True)
        )
        return [image[..., top : top + self.size[0], left : left + self.size[1]] for image in images]


class RandomFlip(_ImageTransform):
    """Mirrors images at random.

    Args:
        prob: probability. 0.5 by default.
        direction: ``"horizontal"`` (default) swaps left and right, ``"vertical"`` top and bottom.
        keys: of the images. ``"img"`` by default.

    Raises:
        TransformError: ``prob`` is not between 0 and 1, or ``direction`` is unknown.
    """

    def __init__(self, prob: float = 0.5, direction: str = "horizontal", keys: str | Sequence[str] = "img") -> None:
        super().__init__(keys)
        if not 0 <= prob <= 1:
            raise TransformError(f"RandomFlip's prob is a probability from 0 to 1, not {prob!r}")
        if direction not in _DIRECTIONS:
            raise TransformError(f"RandomFlip's direction is 'horizontal' or 'vertical', not {direction!r}")
        self.prob, self.direction = prob, direction

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """All images mirrored, or none."""
        if float(torch.rand(())) >= self.prob:
            return images
        return [image.flip(_DIRECTIONS[self.direction]) for image in images]


class Normalize(_ImageTransform):
    """Makes float32 images of mean 0 and deviation 1; whole numbers from 0 to 255 become parts of 1 before.

    Args:
        mean: of each channel, in parts of 1. Those of ImageNet by default.
        std: deviation of each channel, likewise.
        keys: of the images. ``"img"`` by default.

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
        self.mean, self.std = list(mean), list(std)
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise TransformError(
                f"Normalize takes a mean and a deviation above 0 for each channel, got mean={mean}, std={std}"
            )

    def change(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """The images as float32."""
        return [self._normalized(image) for image in images]

    def _normalized(self, image_CHW: torch.Tensor) -> torch.Tensor:
        if len(self.mean) not in (1, len(image_CHW)):
            raise TransformError(
                f"Normalize has a mean for {len(self.mean)} channels, and the image has {len(image_CHW)}"
            )
        values = image_CHW.float()
        parts = values if image_CHW.is_floating_point() else values / 255
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (self.mean, self.std))
        return (parts - mean) / std


def _value(transform: object, sample: Any, key: str) -> Any:
    name = type(transform).__name__
    if not isinstance(sample, Mapping):
        raise TransformError(f"{name} takes a sample that is a mapping, got {type(sample).__name__}")
    if key not in sample:
        raise TransformError(f"{name}: the sample has no key {key!r}; it has {', '.join(map(repr, sample)) or 'none'}")
    return sample[key]


def _image(transform: object, sample: Any, key: str) -> torch.Tensor:
    image = _value(transform, sample, key)
    if isinstance(image, torch.Tensor) and image.ndim == 3:
        return image
    shape = f" of shape {tuple(image.shape)}" if hasattr(image, "shape") else ""
    raise TransformError(
        f"{type(transform).__name__}: {key!r} must be a tensor (channels, height, width), as LoadImage gives it, got "
        f"{type(image).__name__}{shape}"
    )


def _pair(transform: object, size: Any) -> tuple[int, int]:
    numbers = [size, size] if isinstance(size, int) else list(size)
    if len(numbers) != 2 or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise TransformError(f"{type(transform).__name__}'s size is (height, width) or a whole number, got {size!r}")
    return numbers[0], numbers[1]


def _padded_to(image_CHW: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    missing = [max(0, want - length) for want, length in zip(size, image_CHW.shape[-2:], strict=True)]
    height, width = missing
    return functional.pad(image_CHW, [width // 2, width - width // 2, height // 2, height - height // 2])


# A class that a user registers under one of these names replaces ours.
for _class in (LoadImage, Resize, CenterCrop, RandomCrop, RandomFlip, Normalize):
    TRANSFORMS.register_fallback(_class.__name__, _class)
register_torchvision()
