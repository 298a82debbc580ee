"""Drawing on arrays: an image and shapes in, an image out.

Shapes are blended, not painted over: ``(1 - alpha) * image + alpha * color`` where a shape covers a pixel, and by the share
that it covers where its edge crosses one. OpenCV draws shapes, Pillow draws text; both are looked up when first needed.
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

# Sub-pixel bits that OpenCV draws with: positions are rounded to 1/16 of a pixel.
_SHIFT = 4
# Matplotlib's line styles, as lengths of stroke and gap in line widths.
_DASHES: dict[str, tuple[float, ...]] = {
    "-": (), "solid": (), "--": (3.7, 1.6), "dashed": (3.7, 1.6), "-.": (6.4, 1.6, 1.0, 1.6),
    "dashdot": (6.4, 1.6, 1.0, 1.6), ":": (1.0, 1.65), "dotted": (1.0, 1.65), "none": (),
}  # fmt: skip


def cv2() -> Any:
    """OpenCV.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    return optional_module("cv2", "drawing", "opencv-python-headless")


def blend(image: Image, draw: Callable[[np.ndarray], None], alpha: float, box: tuple[int, int, int, int]) -> None:
    """Blends what `draw` draws into an image.

    Args:
        image: changed in place.
        draw: draws on an array that stands for the part of the image in `box`.
        alpha: 0 leaves the image, 1 paints over it.
        box: left, top, right, bottom in pixels; only this part is touched.
    """
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        return
    part = image[top:bottom, left:right]
    drawn = part.copy()
    draw(drawn)
    cv2().addWeighted(drawn, alpha, part, 1 - alpha, 0, dst=part)


def _mixed(pixels: np.ndarray, color: RGB, weight: np.ndarray | float) -> np.ndarray:
    mixed = pixels + (np.asarray(color, np.float32) - pixels) * weight
    rounded: np.ndarray = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return rounded


def around(points_N2: np.ndarray, margin: float, image: Image) -> tuple[int, int, int, int]:
    """The part of the image that holds all points and a margin: left, top, right, bottom."""
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
    """Draws a closed polygon: filled with `face`, its outline on top in `edge`."""
    if face is not None:
        box = around(points_N2, 1, image)
        blend(image, lambda part: _fill(part, points_N2, face, box), alpha, box)
    if edge is not None:
        polyline(image, np.concatenate([points_N2, points_N2[:1]]), color=edge, width=width, style=style, alpha=alpha)


def polyline(image: Image, points_N2: np.ndarray, *, color: RGB, width: float, style: str, alpha: float) -> None:
    """Draws an open line through points.

    Raises:
        ValueError: an unknown line style.
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
    """Draws a circle: filled with `face`, its outline on top in `edge`."""
    # As many corners as keep the polygon within a tenth of a pixel of the circle.
    corners = int(np.clip(np.pi / np.arccos(max(1 - 0.1 / max(radius, 0.2), -1)), 12, 720))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points_N2 = np.asarray(center, np.float64) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon(image, points_N2, edge=edge, face=face, width=width, style=style, alpha=alpha)


def overlay(image: Image, mask_HW: np.ndarray, *, color: RGB, alpha: float) -> None:
    """Blends a colour in where a boolean mask is true."""
    chosen = image[mask_HW]
    image[mask_HW] = _mixed(chosen, color, alpha)


def _fill(part: np.ndarray, points_N2: np.ndarray, color: RGB, box: tuple[int, int, int, int]) -> None:
    line_type, shift = _precision(points_N2)
    cv2().fillPoly(part, [_fixed(points_N2, box, shift)], color, line_type, shift)


def _precision(points_N2: np.ndarray) -> tuple[int, int]:
    """OpenCV's kind of line and its sub-pixel bits: upright lines fill whole pixels, slanted ones are smoothed."""
    upright = (np.diff(points_N2, axis=0) == 0).any(axis=1).all()
    return (cv2().LINE_8, 0) if upright else (cv2().LINE_AA, _SHIFT)


def _fixed(points_N2: np.ndarray, box: tuple[int, int, int, int], shift: int) -> np.ndarray:
    """Points relative to the box, as OpenCV's fixed-point numbers."""
    fixed: np.ndarray = np.rint((points_N2 - box[:2]) * (1 << shift)).astype(np.int32)
    return fixed


def _strokes(points_N2: np.ndarray, width: float, style: str) -> list[np.ndarray]:
    """The pieces of a polyline that its style draws: all of it, its dashes, or nothing."""
    if style not in _DASHES:
        raise UsageError(f"there is no line style {style!r}; there are {', '.join(map(repr, _DASHES))}")
    pattern = _DASHES[style]
    if style == "none":
        return []
    if not pattern:
        return [points_N2]
    # Positions of the dashes along the line, then the points at these positions.
    steps = np.hypot(*np.diff(points_N2, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    lengths = np.asarray(pattern) * max(width, 1)
    marks = np.cumsum(np.tile(lengths, int(along[-1] // lengths.sum()) + 1))
    starts, ends = np.concatenate([[0.0], marks[1:-1:2]]), marks[::2]
    return [
        _between(points_N2, along, start, min(end, along[-1]))
        for start, end in zip(starts, ends, strict=True)
        if start < along[-1]
    ]


def _between(points_N2: np.ndarray, along: np.ndarray, start: float, end: float) -> np.ndarray:
    inner = points_N2[(along > start) & (along < end)]
    tips = [[np.interp(position, along, points_N2[:, axis]) for axis in (0, 1)] for position in (start, end)]
    return np.concatenate([tips[:1], inner, tips[1:]])


# --- text --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def font(size: int, family: str) -> Any:
    """A font of a size in pixels: a file or a family that Pillow finds, else Pillow's own."""
    fonts = optional_module("PIL.ImageFont", "text in an image", "pillow")
    for name in (family, f"{family}.ttf", "DejaVuSans.ttf"):
        try:
            return fonts.truetype(name, size)
        except OSError:
            continue
    return fonts.load_default(size)


@functools.lru_cache(maxsize=4096)
def text_mask(text: str, size: int, family: str) -> np.ndarray:
    """A text as (height, width) uint8: how much of each pixel it covers. Labels repeat, so masks are kept."""
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
    """Writes a text so that `position` is its corner, edge or middle, as its alignments say.

    Args:
        image: changed in place.
        text: may have several lines.
        position: x and y in pixels.
        color: of the letters.
        size: height of the letters in pixels.
        family: of the font.
        vertical: ``top``, ``center``, ``bottom`` or ``baseline``.
        horizontal: ``left``, ``center`` or ``right``.
        background: ``facecolor``, ``edgecolor``, ``alpha`` and ``pad`` (in letter heights) of a box behind the text.

    Raises:
        ValueError: an unknown alignment.
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
        part[:] = _mixed(part, color, covered[..., None].astype(np.float32) / 255)

    blend(image, letters, 1.0, box)


def _background(image: Image, box: tuple[int, int, int, int], size: int, settings: dict[str, Any]) -> None:
    """Draws the box behind a text."""
    from .colors import to_rgb

    pad = settings.get("pad", 0.2)
    pad = pad * size if pad < 1 else pad
    left, top, right, bottom = box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    alpha = float(settings.get("alpha", 1.0))
    face, edge = to_rgb(settings.get("facecolor", "white")), to_rgb(settings.get("edgecolor", "none"))
    polygon(image, corners, edge=edge, face=face, width=1, style="-", alpha=alpha)


def _share(name: str, shares: dict[str, float]) -> float:
    if name not in shares:
        raise UsageError(f"there is no alignment {name!r}; there are {', '.join(shares)}")
    return shares[name]
