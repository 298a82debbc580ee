"""Augmented samples of a dataset as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ._randomness import KeyedIndex, fetch

if TYPE_CHECKING:
    from PIL import Image

# Where pipelines put the image: packed for the model, or as loaded.
_IMAGE_KEYS = ("inputs", "img", "image")
_CAPTION_PX, _GAP_PX = 14, 4
_PAPER, _INK, _BOX = (255, 255, 255), (40, 40, 40), (230, 60, 30)


class NoPictureError(ValueError):
    """A sample holds no image that could be drawn."""


@dataclass(frozen=True)
class Picture:
    """What is drawn of one sample.

    Args:
        image: (height, width, 3) uint8, RGB.
        caption: number and label.
        boxes: (N, 4), xyxy in pixels of the image.
    """

    image: np.ndarray
    caption: str
    boxes: np.ndarray


def pictures_of(
    dataset: Any, indices: Sequence[int], epochs: Sequence[int], seed: int, is_bgr: bool = False
) -> list[list[Picture]]:
    """Samples as training sees them in several epochs: a row for each sample, an entry for each epoch.

    Args:
        dataset: gives a sample for a number.
        indices: numbers of the samples.
        epochs: numbers of the epochs, from 0; random transforms differ from one to the next.
        seed: of the run.
        is_bgr: whether colour images have blue first.

    Raises:
        NoPictureError: a sample holds no image.
    """
    classes = (getattr(dataset, "metainfo", None) or {}).get("classes", ())
    columns = [fetch(dataset, [KeyedIndex.of(index, seed, epoch) for index in indices]) for epoch in epochs]
    return [
        [picture_of(sample, index, classes, is_bgr) for sample in row]
        for index, row in zip(indices, zip(*columns, strict=True), strict=True)
    ]


def picture_of(sample: Any, index: int, classes: Sequence[str] = (), is_bgr: bool = False) -> Picture:
    """The image, label and boxes of one sample of a dataset.

    Args:
        sample: a mapping with ``inputs`` or ``img``, or a sequence that begins with an image.
        index: its number.
        classes: names of the labels.
        is_bgr: whether a colour image has blue first.

    Raises:
        NoPictureError: there is no image in it.
    """
    image_HW3 = _as_rgb(_image_in(sample, index), index)
    if is_bgr:
        image_HW3 = image_HW3[..., ::-1]
    label = _label_in(sample)
    name = str(classes[label]) if label is not None and label < len(classes) else label
    return Picture(image_HW3, f"{index}" if name is None else f"{index}: {name}", _boxes_in(sample))


def draw_sheet(rows: Sequence[Sequence[Picture]], cell_px: int = 128) -> Image.Image:
    """One picture of all, a row of cells for each row.

    Args:
        rows: of equal length.
        cell_px: width and height of the place for an image; smaller images are enlarged by whole factors.

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
    """A square picture of `cell_px` pixels with an image, scaled to fit, and its boxes."""
    from PIL import Image, ImageDraw

    height, width = picture.image.shape[:2]
    scale = cell_px / max(height, width)
    if scale > 1:
        scale = float(int(scale))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(picture.image))
    image = image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)
    for x1, y1, x2, y2 in (picture.boxes * scale).tolist():
        draw.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=_BOX)
    cell = Image.new("RGB", (cell_px, cell_px), _PAPER)
    cell.paste(image, (0, 0))
    return cell


def _image_in(sample: Any, index: int) -> Any:
    if isinstance(sample, Mapping):
        key = next((key for key in _IMAGE_KEYS if key in sample), None)
        if key is None:
            raise NoPictureError(
                f"sample {index} holds no image: it has {', '.join(map(str, sample)) or 'no key'}, and none of {', '.join(_IMAGE_KEYS)}"
            )
        return sample[key]
    return sample[0] if isinstance(sample, list | tuple) and sample else sample


def _as_rgb(image: Any, index: int) -> np.ndarray:
    """(height, width, 3) uint8 from a tensor with the channels first, or an array with them last."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        array = (image.permute(1, 2, 0) if image.ndim == 3 else image).float().numpy()
        is_whole = image.dtype == torch.uint8
    else:
        array = np.asarray(image)
        is_whole = array.dtype == np.uint8
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.size == 0:
        raise NoPictureError(f"sample {index}: an array of shape {array.shape} is no grey or colour image")
    array = array if is_whole else _stretched(array.astype(np.float64))
    return np.repeat(array.astype(np.uint8), 3 // array.shape[2], axis=2)


def _stretched(array: np.ndarray) -> np.ndarray:
    """Values stretched over 0 to 255, as an image that was normalised has any."""
    finite = np.nan_to_num(array, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    return (finite - low) * (255.0 / (high - low)) if high > low else np.zeros_like(finite)


def _label_in(sample: Any) -> int | None:
    """The true class, where the sample has exactly one."""
    label = _find(sample, ("gt_label", "label"), ("label",), ("gt_label",))
    if label is None and isinstance(sample, list | tuple) and len(sample) > 1:
        label = sample[1]
    values = label.flatten().tolist() if isinstance(label, torch.Tensor | np.ndarray) else [label]
    return int(values[0]) if len(values) == 1 and isinstance(values[0], int) and values[0] >= 0 else None


def _boxes_in(sample: Any) -> np.ndarray:
    boxes = _find(sample, ("gt_instances", "bboxes"), ("gt_bboxes",))
    boxes = getattr(boxes, "tensor", boxes)  # libraries wrap boxes in classes of their own
    array = np.asarray(boxes, dtype=np.float64) if boxes is not None else np.zeros((0, 4))
    return array.reshape(-1, 4) if array.size % 4 == 0 else np.zeros((0, 4))


def _find(sample: Any, *paths: tuple[str, ...]) -> Any:
    """What lies under the first of `paths` that exists, in the packed data sample or in the mapping itself."""
    if not isinstance(sample, Mapping):
        return None
    for holder in (sample.get("data_samples"), sample):
        for path in paths:
            value = holder
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
            if value is not None:
                return value
    return None
