"""Functions that draw shapes and text on an image array in place.

Shapes are blended: a covered pixel becomes ``(1 - alpha) * image + alpha * color``, and a pixel on the edge of a shape is
weighted by its covered share. OpenCV draws shapes and Pillow draws text; both are imported at the first use.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eng.logging.errors import UsageError
from eng.logging.optional import optional_module

from .colors import RGB

Image = np.ndarray  # (H, W, 3) uint8, RGB

# Number of fractional bits in the fixed-point coordinates that OpenCV gets: positions are rounded to 1/16 of a pixel.
_SHIFT = 4
# Matplotlib's line styles, as lengths of dashes and gaps in multiples of the line width.
_DASHES: dict[str, tuple[float, ...]] = {
    "-": (), "solid": (), "--": (3.7, 1.6), "dashed": (3.7, 1.6), "-.": (6.4, 1.6, 1.0, 1.6),
    "dashdot": (6.4, 1.6, 1.0, 1.6), ":": (1.0, 1.65), "dotted": (1.0, 1.65), "none": (),
}  # fmt: skip


def cv2() -> Any:
    """Imports and returns OpenCV.

    Raises:
        ModuleNotFoundError: OpenCV is not installed; the message says how to install it.
    """
    return optional_module("cv2", "drawing", "opencv-python-headless")


def blend(image: Image, draw: Callable[[np.ndarray], None], alpha: float, box: tuple[int, int, int, int]) -> None:
    """Draws on a copy of a part of an image, and blends the result into the image.

    Args:
        image: the image; it is changed in place.
        draw: function that gets a copy of the part of the image in ``box``, and draws on the copy in place.
        alpha: opacity of the drawing, from 0 (invisible) to 1 (opaque).
        box: part of the image as left, top, right, bottom in pixels; pixels outside are not changed.
    """
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        return
    part = image[top:bottom, left:right]
    drawn = part.copy()
    draw(drawn)
    cv2().addWeighted(drawn, alpha, part, 1 - alpha, 0, dst=part)


def _mix(pixels: np.ndarray, color: RGB, weight: np.ndarray | float) -> np.ndarray:
    """Returns ``pixels`` blended with a colour, as uint8.

    Args:
        pixels: RGB values of pixels.
        color: the colour.
        weight: share of the colour in the result, from 0 (the pixel is unchanged) to 1 (the pixel has the colour).
    """
    mixed = pixels + (np.asarray(color, np.float32) - pixels) * weight
    rounded: np.ndarray = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return rounded


def around(points_N2: np.ndarray, margin: float, image: Image) -> tuple[int, int, int, int]:
    """Returns the smallest box that contains all points and a margin around them, cut to the image.

    The box is (left, top, right, bottom) in pixels.
    """
    height, width = image.shape[:2]
    (x0, y0), (x1, y1) = points_N2.min(axis=0) - margin, points_N2.max(axis=0) + margin + 1
    return (
        max(int(np.floor(x0)), 0),
        max(int(np.floor(y0)), 0),
        min(int(np.ceil(x1)), width),
        min(int(np.ceil(y1)), height),
    )


def polygon(
    image: Image, points_N2: np.ndarray, *, edge: RGB | None, face: RGB | None, width: float, style: str, alpha: float
) -> None:
    """Draws a closed polygon: first the interior in colour ``face``, then the outline in colour ``edge``."""
    if face is not None:
        box = around(points_N2, 1, image)
        blend(image, lambda part: _fill(part, points_N2, face, box), alpha, box)
    if edge is not None:
        polyline(image, np.concatenate([points_N2, points_N2[:1]]), color=edge, width=width, style=style, alpha=alpha)


def polyline(image: Image, points_N2: np.ndarray, *, color: RGB, width: float, style: str, alpha: float) -> None:
    """Draws an open line through points.

    Raises:
        ValueError: the line style is unknown.
    """
    strokes = _strokes(points_N2, width, style)
    box = around(points_N2, width, image)

    def draw(part: np.ndarray) -> None:
        line_type, shift = _precision(points_N2)
        lines = [_fixed(stroke, box, shift) for stroke in strokes]
        cv2().polylines(part, lines, False, color, max(round(width), 1), line_type, shift)

    blend(image, draw, alpha, box)


def circle(
    image: Image,
    center: np.ndarray,
    radius: float,
    *,
    edge: RGB | None,
    face: RGB | None,
    width: float,
    style: str,
    alpha: float,
) -> None:
    """Draws a circle: first the interior in colour ``face``, then the outline in colour ``edge``."""
    # The circle is drawn as a polygon with so many corners that its edges deviate from the circle by at most a tenth of
    # a pixel.
    corners = int(np.clip(np.pi / np.arccos(max(1 - 0.1 / max(radius, 0.2), -1)), 12, 720))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points_N2 = np.asarray(center, np.float64) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon(image, points_N2, edge=edge, face=face, width=width, style=style, alpha=alpha)


def overlay(image: Image, mask_HW: np.ndarray, *, color: RGB, alpha: float) -> None:
    """Blends a colour into those pixels of an image for which a boolean mask is true; `alpha` is its opacity."""
    chosen = image[mask_HW]
    image[mask_HW] = _mix(chosen, color, alpha)


def _fill(part: np.ndarray, points_N2: np.ndarray, color: RGB, box: tuple[int, int, int, int]) -> None:
    line_type, shift = _precision(points_N2)
    cv2().fillPoly(part, [_fixed(points_N2, box, shift)], color, line_type, shift)


def _precision(points_N2: np.ndarray) -> tuple[int, int]:
    """Returns the arguments of OpenCV's drawing functions that decide about antialiasing: line type and shift.

    Lines that are all horizontal or vertical are drawn without antialiasing at integer positions, so that they are
    sharp. Other lines are antialiased, at positions with fractions of pixels.
    """
    is_axis_parallel = (np.diff(points_N2, axis=0) == 0).any(axis=1).all()
    if is_axis_parallel:
        return cv2().LINE_8, 0
    return cv2().LINE_AA, _SHIFT


def _fixed(points_N2: np.ndarray, box: tuple[int, int, int, int], shift: int) -> np.ndarray:
    """Converts points in pixels to the fixed-point coordinates that OpenCV's drawing functions expect.

    Args:
        points_N2: x and y of the points in pixels of the image.
        box: part of the image that is drawn on; the result is relative to its left upper corner.
        shift: number of fractional bits.
    """
    fixed: np.ndarray = np.rint((points_N2 - box[:2]) * (1 << shift)).astype(np.int32)
    return fixed


def _strokes(points_N2: np.ndarray, width: float, style: str) -> list[np.ndarray]:
    """Splits a polyline into the parts that are drawn for a line style.

    These are the complete line for a solid style, the dashes for a dashed style, and nothing for ``"none"``.

    Raises:
        ValueError: the style is unknown.
    """
    if style not in _DASHES:
        raise UsageError(f"there is no line style {style!r}; there are {', '.join(map(repr, _DASHES))}")
    pattern = _DASHES[style]
    if style == "none":
        return []
    if not pattern:
        return [points_N2]
    # First the distances along the line at which dashes begin and end are computed, then the points at these distances.
    steps = np.hypot(*np.diff(points_N2, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    lengths = np.asarray(pattern) * max(width, 1)
    marks = np.cumsum(np.tile(lengths, int(along[-1] // lengths.sum()) + 1))
    starts, ends = np.concatenate([[0.0], marks[1:-1:2]]), marks[::2]
    return [
        _cut_polyline(points_N2, along, start, min(end, along[-1]))
        for start, end in zip(starts, ends, strict=True)
        if start < along[-1]
    ]


def _cut_polyline(points_N2: np.ndarray, along: np.ndarray, start: float, end: float) -> np.ndarray:
    """Returns the part of a polyline between two distances from its first point, measured along the line.

    Args:
        points_N2: points of the polyline.
        along: distance of each point from the first one, along the line.
        start: distance at which the part begins.
        end: distance at which the part ends.
    """
    inner = points_N2[(along > start) & (along < end)]
    tips = [[np.interp(position, along, points_N2[:, axis]) for axis in (0, 1)] for position in (start, end)]
    return np.concatenate([tips[:1], inner, tips[1:]])


# --- drawing text ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def font(size: int, family: str) -> Any:
    """Returns the Pillow font for a family name or font file.

    If there is no such font, DejaVu Sans is returned, or else Pillow's default font.

    Args:
        size: height of the letters in pixels.
        family: name of a font family of the system, or path of a font file.
    """
    fonts = optional_module("PIL.ImageFont", "text in an image", "pillow")
    for name in (family, f"{family}.ttf", "DejaVuSans.ttf"):
        try:
            return fonts.truetype(name, size)
        except OSError:
            continue
    return fonts.load_default(size)


@functools.lru_cache(maxsize=4096)
def text_mask(text: str, size: int, family: str) -> np.ndarray:
    """Renders a text as an array (height, width) uint8: how much of each pixel the letters cover, from 0 to 255.

    The arrays are cached, because images often have many labels with the same text.
    """
    from PIL import Image as PilImage
    from PIL import ImageDraw

    chosen = font(size, family)
    lines = text.split("\n")
    ascent, descent = chosen.getmetrics()
    line_height = ascent + descent
    width = max(int(np.ceil(chosen.getlength(line))) for line in lines)
    canvas = PilImage.new("L", (max(width, 1), line_height * len(lines)))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((0, number * line_height), line, fill=255, font=chosen)
    return np.asarray(canvas)


def write(
    image: Image,
    text: str,
    position: Sequence[float],
    *,
    color: RGB,
    size: int,
    family: str,
    vertical: str,
    horizontal: str,
    background: dict[str, Any] | None,
) -> None:
    """Draws a text, with the part of the text that the two alignments name at ``position``.

    Args:
        image: the image; it is changed in place.
        text: the text, which may have several lines.
        position: x and y in pixels.
        color: colour of the letters.
        size: height of the letters in pixels.
        family: font family or path of a font file.
        vertical: ``top``, ``center``, ``bottom`` or ``baseline``.
        horizontal: ``left``, ``center`` or ``right``.
        background: ``facecolor``, ``edgecolor``, ``alpha`` and ``pad`` of a box behind the text. A ``pad`` below 1 is in
            letter heights, otherwise in pixels.

    Raises:
        ValueError: an alignment is unknown.
    """
    mask = text_mask(text, size, family)
    height, width = mask.shape
    left = position[0] - width * _share(horizontal, {"left": 0.0, "center": 0.5, "right": 1.0})
    top = position[1] - height * _share(vertical, {"top": 0.0, "center": 0.5, "bottom": 1.0, "baseline": 0.8})
    x, y = round(left), round(top)
    if background is not None:
        _background(image, (x, y, x + width, y + height), size, background)
    box = max(x, 0), max(y, 0), min(x + width, image.shape[1]), min(y + height, image.shape[0])

    def letters(part: np.ndarray) -> None:
        covered = mask[box[1] - y : box[3] - y, box[0] - x : box[2] - x]
        part[:] = _mix(part, color, covered[..., None].astype(np.float32) / 255)

    blend(image, letters, 1.0, box)


def _background(image: Image, box: tuple[int, int, int, int], size: int, settings: dict[str, Any]) -> None:
    """Draws the box behind a text.

    Args:
        image: the image; it is changed in place.
        box: the rectangle that the text covers: left, top, right, bottom in pixels.
        size: height of the letters in pixels.
        settings: colours, opacity and padding of the box; see ``background`` of :func:`write`.
    """
    from .colors import to_rgb

    pad = settings.get("pad", 0.2)
    if pad < 1:
        pad = pad * size
    left, top, right, bottom = box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    alpha = float(settings.get("alpha", 1.0))
    face, edge = to_rgb(settings.get("facecolor", "white")), to_rgb(settings.get("edgecolor", "none"))
    polygon(image, corners, edge=edge, face=face, width=1, style="-", alpha=alpha)


def _share(name: str, shares: dict[str, float]) -> float:
    if name not in shares:
        raise UsageError(f"there is no alignment {name!r}; there are {', '.join(shares)}")
    return shares[name]
