"""Draw augmented samples of a dataset as a contact sheet: one image with a row per sample and a column per epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ._randomness import KeyedIndex, fetch

if TYPE_CHECKING:
    from PIL import Image

# The keys of an image in a sample: ``inputs`` after packing for the model, ``img`` or ``image`` after loading.
_IMAGE_KEYS = ("inputs", "img", "image")
_CAPTION_PX, _GAP_PX = 14, 4
_PAPER, _INK, _BOX = (255, 255, 255), (40, 40, 40), (230, 60, 30)


class NoPictureError(ValueError):
    """A sample has no image, or an image with a shape that cannot be drawn."""


@dataclass(frozen=True)
class Picture:
    """Image, caption and bounding boxes of a sample, as they are drawn in a contact sheet.

    Args:
        image: (height, width, 3) uint8, RGB.
        caption: text below the image: number and label of the sample.
        boxes: (N, 4) float64, the corners (x1, y1, x2, y2) of each box in pixels of the image.
    """

    image: np.ndarray
    caption: str
    boxes: np.ndarray


def pictures_of(
    dataset: Any, indices: Sequence[int], epochs: Sequence[int], seed: int, is_bgr: bool = False
) -> list[list[Picture]]:
    """Reads samples as they are in several epochs of training, each time after other random transforms.

    Args:
        dataset: a dataset with ``__getitem__``.
        indices: numbers of the samples.
        epochs: numbers of the epochs, from 0; each sample is read once per epoch, with the random numbers of the epoch.
        seed: seed of the training run.
        is_bgr: whether colour images are in BGR order.

    Returns:
        for each sample a list with its picture in each epoch.

    Raises:
        NoPictureError: a sample has no image.
    """
    classes = (getattr(dataset, "metainfo", None) or {}).get("classes", ())
    columns = [fetch(dataset, [KeyedIndex.of(index, seed, epoch) for index in indices]) for epoch in epochs]
    return [
        [picture_of(sample, index, classes, is_bgr) for sample in row]
        for index, row in zip(indices, zip(*columns, strict=True), strict=True)
    ]


def picture_of(sample: Any, index: int, classes: Sequence[str] = (), is_bgr: bool = False) -> Picture:
    """Returns the image, label and boxes of a sample.

    Args:
        sample: a mapping with ``inputs`` or ``img``, or a sequence that begins with an image.
        index: number of the sample, for the caption.
        classes: names of the classes, by label.
        is_bgr: whether a colour image is in BGR order.

    Raises:
        NoPictureError: the sample has no image.
    """
    image_HW3 = _as_rgb(_image_in(sample, index), index)
    if is_bgr:
        image_HW3 = image_HW3[..., ::-1]
    caption = f"{index}"
    label = _label_in(sample)
    if label is not None and label < len(classes):
        caption = f"{index}: {classes[label]}"
    elif label is not None:
        caption = f"{index}: {label}"
    return Picture(image_HW3, caption, _boxes_in(sample))


def draw_sheet(rows: Sequence[Sequence[Picture]], cell_px: int = 128) -> Image.Image:
    """Draws pictures in a grid of square cells.

    Args:
        rows: the pictures of each row; all rows have the same length.
        cell_px: width and height of a cell; smaller images are enlarged by whole factors, larger ones are reduced.

    Returns:
        an RGB image of Pillow.
    """
    from PIL import Image, ImageDraw

    step_x, step_y = cell_px + _GAP_PX, cell_px + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (len(rows[0]) * step_x + _GAP_PX, len(rows) * step_y + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            left, top = _GAP_PX + column * step_x, _GAP_PX + row * step_y
            sheet.paste(_cell(picture, cell_px), (left, top))
            draw.text((left, top + cell_px + 1), picture.caption, fill=_INK)
    return sheet


def _cell(picture: Picture, cell_px: int) -> Image.Image:
    """Returns a square image, `cell_px` pixels wide, that shows a sample's image, scaled to fit, and its boxes."""
    from PIL import Image, ImageDraw

    height, width = picture.image.shape[:2]
    scale = cell_px / max(height, width)
    resampling = Image.Resampling.BOX
    if scale >= 1:
        scale = float(int(scale))
        resampling = Image.Resampling.NEAREST
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(picture.image)).resize(size, resampling)
    draw = ImageDraw.Draw(image)
    for x1, y1, x2, y2 in (picture.boxes * scale).tolist():
        draw.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=_BOX)
    cell = Image.new("RGB", (cell_px, cell_px), _PAPER)
    cell.paste(image, (0, 0))
    return cell


def _image_in(sample: Any, index: int) -> Any:
    """Returns the image in a sample: under its usual key in a mapping, or the first item of a sequence."""
    if isinstance(sample, Mapping):
        key = next((key for key in _IMAGE_KEYS if key in sample), None)
        if key is None:
            raise NoPictureError(
                f"sample {index} holds no image: it has {', '.join(map(str, sample)) or 'no key'}, and none of {', '.join(_IMAGE_KEYS)}"
            )
        return sample[key]
    if isinstance(sample, list | tuple) and sample:
        return sample[0]
    return sample


def _as_rgb(image: Any, index: int) -> np.ndarray:
    """Converts a tensor (C, H, W) or an array (H, W, C) to an RGB array (H, W, 3) of uint8."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        is_uint8 = image.dtype == torch.uint8
        if image.ndim == 3:
            image = image.permute(1, 2, 0)
        array = image.float().numpy()
    else:
        array = np.asarray(image)
        is_uint8 = array.dtype == np.uint8
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.size == 0:
        raise NoPictureError(f"sample {index}: an array of shape {array.shape} is no grey or colour image")
    if not is_uint8:
        array = _stretch(array.astype(np.float64))
    return np.repeat(array.astype(np.uint8), 3 // array.shape[2], axis=2)


def _stretch(array: np.ndarray) -> np.ndarray:
    """Scales the values of an image linearly so that the smallest becomes 0 and the largest 255.

    Images after normalisation need this, because their values have no fixed range.
    """
    finite = np.nan_to_num(array, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.zeros_like(finite)
    stretched: np.ndarray = (finite - low) * (255.0 / (high - low))
    return stretched


def _label_in(sample: Any) -> int | None:
    """Returns the number of a sample's class (ground truth); None if the sample has no class, or several classes."""
    label = _find(sample, ("gt_label", "label"), ("label",), ("gt_label",))
    if label is None and isinstance(sample, list | tuple) and len(sample) > 1:
        label = sample[1]
    values = [label]
    if isinstance(label, torch.Tensor | np.ndarray):
        values = label.flatten().tolist()
    if len(values) != 1 or not isinstance(values[0], int) or values[0] < 0:
        return None
    return int(values[0])


def _boxes_in(sample: Any) -> np.ndarray:
    """Returns the annotated bounding boxes of a sample, (N, 4); N is 0 if the sample has none."""
    boxes = _find(sample, ("gt_instances", "bboxes"), ("gt_bboxes",))
    if boxes is None:
        return np.zeros((0, 4))
    # Libraries such as mmdet have classes for boxes, whose attribute ``tensor`` holds the coordinates.
    array = np.asarray(getattr(boxes, "tensor", boxes), dtype=np.float64)
    if array.size % 4 != 0:
        return np.zeros((0, 4))
    return array.reshape(-1, 4)


def _find(sample: Any, *paths: tuple[str, ...]) -> Any:
    """Returns the value at the first path that exists in the sample's ``data_samples`` or in the sample itself.

    Args:
        sample: a sample; None is returned if it is no mapping.
        *paths: names of nested keys or attributes.
    """
    if not isinstance(sample, Mapping):
        return None
    for holder in (sample.get("data_samples"), sample):
        for path in paths:
            value = holder
            for name in path:
                if isinstance(value, Mapping):
                    value = value.get(name)
                else:
                    value = getattr(value, name, None)
            if value is not None:
                return value
    return None
