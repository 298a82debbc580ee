"""The drawing half of the visualizer: checked arguments in, shapes on its image out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from eng.logging.errors import UsageError

from . import canvas, featmap, window
from .colors import for_each, to_rgb
from .errors import NoImageError
from .figure import DPI, Overlay
from .images import as_rgb

Self = TypeVar("Self", bound="Drawing")
Color = str | tuple[int, ...]
Array = np.ndarray | torch.Tensor
Number = int | float

__all__ = ["Drawing"]


class Drawing:
    """Draws on one image; calls follow one another and draw on what is there."""

    _image: np.ndarray | None = None
    _overlay: Overlay | None = None

    # --- the image ---------------------------------------------------------------------------------------------

    def set_image(self, image: np.ndarray) -> None:
        """Sets the image to draw on; drawing leaves the given array as it is.

        Args:
            image: (height, width) or (height, width, 1) grey, (height, width, 3) RGB or (height, width, 4) with an
                opacity, which is dropped; uint8, and other types are rounded to it.

        Raises:
            ValueError: None, or an array of another shape.
        """
        self._image = as_rgb(image)
        self._overlay = None
        self.height, self.width = self._image.shape[:2]
        # Readable at every size of image: letters of about a ninetieth of its side, ten pixels at least.
        self._default_font_size = max(int(np.sqrt(self.height * self.width) // 90), 10)

    def get_image(self) -> np.ndarray:
        """A copy of the image with what was drawn on it, (height, width, 3) uint8, RGB, exactly as large as it was set.

        Raises:
            NoImageError: there is none (a ValueError and an AttributeError).
        """
        return self._canvas().copy()

    def _canvas(self) -> np.ndarray:
        """The image itself, on which shapes are drawn in place."""
        if self._overlay is not None:
            self._image, self._overlay = self._overlay.render(), None
        if self._image is None:
            raise NoImageError("there is no image yet: call set_image first")
        return self._image

    def show(
        self,
        drawn_img: np.ndarray | None = None,
        win_name: str = "image",
        wait_time: float = 0.0,
        continue_key: str = " ",
        backend: str = "matplotlib",
    ) -> None:
        """Opens a window with the image, or with `drawn_img`.

        Args:
            drawn_img: (height, width, 3) uint8, RGB.
            win_name: its title.
            wait_time: seconds that it stays; 0 waits for the key.
            continue_key: closes it.
            backend: ``"matplotlib"`` or ``"cv2"``.

        Raises:
            ValueError: another backend, or no image.
        """
        window.show(self.get_image() if drawn_img is None else drawn_img, win_name, wait_time, continue_key, backend)

    @property
    def ax_save(self) -> Axes:
        """Matplotlib's axes over the image, for libraries that draw with them; ``text`` needs no matplotlib."""
        return Axes(self)

    @property
    def fig_save(self) -> Any:
        """The matplotlib figure of :attr:`ax_save`; what is drawn on it is in the image that :meth:`get_image` gives."""
        return self._open_overlay().figure

    @property
    def fig_save_canvas(self) -> Any:
        """The canvas of :attr:`fig_save`."""
        return self._open_overlay().canvas

    @property
    def dpi(self) -> float:
        """Dots per inch of :attr:`fig_save`."""
        return float(dict(getattr(self, "fig_save_cfg", {})).get("dpi", DPI))

    def _open_overlay(self) -> Overlay:
        if self._overlay is None:
            self._overlay = Overlay(self._image, dict(getattr(self, "fig_save_cfg", {})))
        return self._overlay

    def _is_posion_valid(self, position: np.ndarray) -> bool:
        """Whether points (x and y in the last dimension) lie in the image, its edge included. The reference's spelling."""
        return bool(((position >= 0) & (position <= (self.width, self.height))).all())

    def _warn_outside(self, points_N2: np.ndarray, name: str) -> None:
        if len(points_N2) and not self._is_posion_valid(points_N2):
            warnings.warn(
                f"{name} out of bounds: a part lies outside the image of {self.width} x {self.height} and is cut off",
                UserWarning,
                stacklevel=3,
            )

    # --- shapes ------------------------------------------------------------------------------------------------

    def draw_bboxes(
        self: Self,
        bboxes: Array,
        edge_colors: Color | list[Any] = "g",
        line_styles: str | list[str] = "-",
        line_widths: Number | list[Number] = 2,
        face_colors: Color | list[Any] = "none",
        alpha: Number = 0.8,
    ) -> Self:
        """Draws boxes; what lies outside the image is cut off.

        Args:
            bboxes: (4,) or (N, 4), x1 y1 x2 y2 in pixels.
            edge_colors: one colour, or a list with one for each box; ``"none"`` draws no outline.
            line_styles: ``-``, ``--``, ``-.`` or ``:``, or a list.
            line_widths: in pixels, or a list.
            face_colors: one colour to fill with, or a list.
            alpha: 0 draws nothing, 1 paints over.

        Raises:
            ValueError: another shape, ``x1 > x2`` or ``y1 > y2``, an unknown colour or style, or a list of another length.
        """
        boxes_N4 = _points(bboxes, 4, "bboxes")
        turned = np.flatnonzero((boxes_N4[:, 0] > boxes_N4[:, 2]) | (boxes_N4[:, 1] > boxes_N4[:, 3]))
        if len(turned):
            raise UsageError(
                f"bboxes are x1 y1 x2 y2 with x1 <= x2 and y1 <= y2; number {turned[0]} is {boxes_N4[turned[0]]}"
            )
        corners = boxes_N4[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        self._canvas()
        self._warn_outside(corners.reshape(-1, 2), "draw_bboxes")
        return self._polygons(list(corners), edge_colors, line_styles, line_widths, face_colors, alpha)

    def draw_polygons(
        self: Self,
        polygons: Array | list[Array],
        edge_colors: Color | list[Any] = "g",
        line_styles: str | list[str] = "-",
        line_widths: Number | list[Number] = 2,
        face_colors: Color | list[Any] = "none",
        alpha: Number = 0.8,
    ) -> Self:
        """Draws closed polygons.

        Args:
            polygons: (M, 2) x and y in pixels, or a list of such.
            edge_colors, line_styles, line_widths, face_colors, alpha: as of `draw_bboxes`.

        Raises:
            ValueError: as `draw_bboxes`.
        """
        corners = [
            _points(points, 2, "polygons") for points in (polygons if isinstance(polygons, list) else [polygons])
        ]
        self._canvas()
        for points_N2 in corners:
            self._warn_outside(points_N2, "draw_polygons")
        return self._polygons(corners, edge_colors, line_styles, line_widths, face_colors, alpha)

    def draw_circles(
        self: Self,
        center: Array,
        radius: Array,
        edge_colors: Color | list[Any] = "g",
        line_styles: str | list[str] = "-",
        line_widths: Number | list[Number] = 2,
        face_colors: Color | list[Any] = "none",
        alpha: Number = 0.8,
    ) -> Self:
        """Draws circles.

        Args:
            center: (2,) or (N, 2), x and y in pixels.
            radius: (N,) in pixels.
            edge_colors, line_styles, line_widths, face_colors, alpha: as of `draw_bboxes`.

        Raises:
            ValueError: as `draw_bboxes`, or other numbers of centres and radii.
        """
        image, centers_N2 = self._canvas(), _points(center, 2, "center")
        radii_N = _numbers(radius, "radius").reshape(-1)
        if len(radii_N) != len(centers_N2):
            raise UsageError(f"{len(centers_N2)} centers need as many radii, got {len(radii_N)}")
        ends_N2 = np.concatenate([centers_N2 - radii_N[:, None], centers_N2 + radii_N[:, None]])
        self._warn_outside(ends_N2, "draw_circles")
        looks = _looks(len(radii_N), edge_colors, line_styles, line_widths, face_colors)
        for point, size, look in zip(centers_N2, radii_N, looks, strict=True):
            canvas.circle(image, point, float(size), alpha=float(alpha), **look)
        return self

    def draw_lines(
        self: Self,
        x_datas: Array,
        y_datas: Array,
        colors: Color | list[Any] = "g",
        line_styles: str | list[str] = "-",
        line_widths: Number | list[Number] = 2,
    ) -> Self:
        """Draws straight lines.

        Args:
            x_datas: (2,) or (N, 2), x of the two ends in pixels.
            y_datas: the same for y.
            colors, line_styles, line_widths: one, or a list with one for each line.

        Raises:
            ValueError: other shapes, unequal ones, an unknown colour or style, or a list of another length.
        """
        image, x_N2, y_N2 = self._canvas(), _points(x_datas, 2, "x_datas"), _points(y_datas, 2, "y_datas")
        if x_N2.shape != y_N2.shape:
            raise UsageError(f"x_datas and y_datas must have one shape, got {x_N2.shape} and {y_N2.shape}")
        self._warn_outside(np.stack([x_N2, y_N2], axis=-1).reshape(-1, 2), "draw_lines")
        looks = _looks(len(x_N2), colors, line_styles, line_widths, "none")
        for ends, look in zip(np.stack([x_N2, y_N2], axis=-1), looks, strict=True):
            if look["edge"] is not None:
                canvas.polyline(image, ends, color=look["edge"], width=look["width"], style=look["style"], alpha=1.0)
        return self

    def draw_points(
        self: Self,
        positions: Array,
        colors: Color | list[Any] = "g",
        marker: str | None = None,
        sizes: Array | Sequence[Number] | Number | None = None,
    ) -> Self:
        """Draws points.

        Args:
            positions: (2,) or (N, 2), x and y in pixels.
            colors: one, or a list with one for each point.
            marker: ``None`` or ``"o"`` for discs, ``"s"`` squares, ``"^"`` triangles, ``"x"`` or ``"+"`` crosses.
            sizes: (N,) area in square pixels, or one for all points; 36 by default.

        Raises:
            ValueError: another shape or marker, an unknown colour, or a list of another length.
        """
        image, points_N2 = self._canvas(), _points(positions, 2, "positions")
        areas_N = np.full(len(points_N2), 36.0) if sizes is None else _areas(sizes, len(points_N2))
        chosen = for_each(colors, len(points_N2), "colors")
        for point, area, color in zip(points_N2, areas_N, chosen, strict=True):
            _draw_marker(image, point, float(np.sqrt(area) / 2), to_rgb(color), marker or "o")
        return self

    def draw_texts(
        self: Self,
        texts: str | list[str],
        positions: Array,
        font_sizes: int | list[int] | None = None,
        colors: Color | list[Any] = "g",
        vertical_alignments: str | list[str] = "top",
        horizontal_alignments: str | list[str] = "left",
        font_families: str | list[str] = "sans-serif",
        bboxes: dict[str, Any] | list[dict[str, Any]] | None = None,
        font_properties: Any = None,
    ) -> Self:
        """Writes texts.

        Args:
            texts: one, or a list; lines are split at line breaks.
            positions: (2,) or (N, 2), x and y in pixels.
            font_sizes: height of the letters in pixels; by the image's size by default.
            colors: one, or a list with one for each text.
            vertical_alignments: ``top``, ``center``, ``bottom`` or ``baseline`` of the text lies at its position.
            horizontal_alignments: ``left``, ``center`` or ``right`` of it does.
            font_families: names of fonts or files of them.
            bboxes: ``facecolor``, ``edgecolor``, ``alpha`` and ``pad`` of a box behind the text.
            font_properties: matplotlib's `FontProperties`, whose file or family and size count.

        Raises:
            ValueError: other numbers of texts and positions, an unknown colour or alignment, or a list of another length.
        """
        image, points_N2 = self._canvas(), _points(positions, 2, "positions")
        self._warn_outside(points_N2, "draw_texts")
        items = [texts] if isinstance(texts, str) else list(texts)
        if len(items) != len(points_N2):
            raise UsageError(f"{len(items)} texts need as many positions, got {len(points_N2)}")
        if font_properties is not None:
            font_families, font_sizes = _of_properties(font_properties, font_families, font_sizes)
        columns = (
            for_each(self._default_font_size if font_sizes is None else font_sizes, len(items), "font_sizes"),
            for_each(colors, len(items), "colors"),
            for_each(vertical_alignments, len(items), "vertical_alignments"),
            for_each(horizontal_alignments, len(items), "horizontal_alignments"),
            for_each(font_families, len(items), "font_families"),
            for_each(bboxes, len(items), "bboxes"),
        )
        for text, point, size, color, vertical, horizontal, family, box in zip(items, points_N2, *columns, strict=True):
            rgb = to_rgb(color)
            if text and rgb is not None:
                canvas.write(
                    image, str(text), point, color=rgb, size=max(round(size), 1), family=family, vertical=vertical,
                    horizontal=horizontal, background=box,
                )  # fmt: skip
        return self

    def draw_binary_masks(
        self: Self,
        binary_masks: Array,
        colors: Color | list[Any] = "g",
        alphas: float | list[float] = 0.8,
    ) -> Self:
        """Blends colours in where masks are true.

        Args:
            binary_masks: (H, W) or (N, H, W) bool (or 0 and 1), of the image's size.
            colors: one, or a list with one for each mask.
            alphas: one, or a list.

        Raises:
            ValueError: masks of another size than the image, an unknown colour, or a list of another length.
        """
        image = self._canvas()
        masks_NHW = _array(binary_masks, "binary_masks")
        masks_NHW = masks_NHW[None] if masks_NHW.ndim == 2 else masks_NHW
        if masks_NHW.ndim != 3 or masks_NHW.shape[1:] != image.shape[:2]:
            raise UsageError(f"masks must be {image.shape[:2]} like the image, got {masks_NHW.shape[-2:]}")
        pairs = zip(for_each(colors, len(masks_NHW), "colors"), for_each(alphas, len(masks_NHW), "alphas"), strict=True)
        for mask_HW, (color, alpha) in zip(masks_NHW.astype(bool), pairs, strict=True):
            rgb = to_rgb(color)
            if rgb is not None:
                canvas.overlay(image, mask_HW, color=rgb, alpha=float(alpha))
        return self

    draw_featmap = staticmethod(featmap.draw_featmap)

    def _polygons(
        self: Self, corners: list[np.ndarray], edges: Any, styles: Any, widths: Any, faces: Any, alpha: Number
    ) -> Self:
        image = self._canvas()
        for points_N2, look in zip(corners, _looks(len(corners), edges, styles, widths, faces), strict=True):
            canvas.polygon(image, points_N2, alpha=float(alpha), **look)
        return self


class Axes:
    """Matplotlib's axes as visualizers of libraries use them: texts go onto the image itself, all else onto a figure."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for such names
            raise AttributeError(name)
        return getattr(self.drawing._open_overlay().axes, name)  # noqa: SLF001  # the axes belong to it

    def text(self, x: float, y: float, s: str, **kwargs: Any) -> None:
        """Writes a text, with matplotlib's keywords."""
        size = kwargs.get("size", kwargs.get("fontsize"))
        self.drawing.draw_texts(
            s,
            np.array([x, y]),
            font_sizes=int(size) if isinstance(size, (int, float)) else None,
            colors=kwargs.get("color", kwargs.get("c", "k")),
            vertical_alignments=kwargs.get("verticalalignment", kwargs.get("va", "baseline")),
            horizontal_alignments=kwargs.get("horizontalalignment", kwargs.get("ha", "left")),
            font_families=kwargs.get("family", kwargs.get("fontfamily", "sans-serif")),
            bboxes=kwargs.get("bbox"),
        )


def _array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"{name}: expected an array or a tensor, got {type(value).__name__}")


def _numbers(value: Any, name: str) -> np.ndarray:
    array = _array(value, name).astype(np.float64)
    if not np.isfinite(array).all():
        raise UsageError(f"{name}: all numbers must be finite")
    return array


def _areas(sizes: Any, count: int) -> np.ndarray:
    """An area for each of `count` points, out of one for all or one each."""
    areas_N = _numbers(sizes if isinstance(sizes, torch.Tensor) else np.asarray(sizes), "sizes").reshape(-1)
    if len(areas_N) not in (1, count):
        raise UsageError(f"sizes: expected one area or {count}, got {len(areas_N)}")
    return np.broadcast_to(areas_N, count)


def _points(value: Any, columns: int, name: str) -> np.ndarray:
    array = _numbers(value, name)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != columns:
        raise UsageError(f"{name}: expected ({columns},) or (N, {columns}), got {np.shape(value)}")
    return array


def _looks(count: int, edges: Any, styles: Any, widths: Any, faces: Any) -> list[dict[str, Any]]:
    columns = (
        for_each(edges, count, "edge_colors"), for_each(styles, count, "line_styles"),
        for_each(widths, count, "line_widths"), for_each(faces, count, "face_colors"),
    )  # fmt: skip
    return [
        {"edge": to_rgb(edge), "style": style, "width": float(width), "face": to_rgb(face)}
        for edge, style, width, face in zip(*columns, strict=True)
    ]


def _draw_marker(image: np.ndarray, point: np.ndarray, half: float, color: Any, marker: str) -> None:
    """Draws one marker; `half` is half of its width in pixels."""
    if color is None:
        return
    look: dict[str, Any] = {"edge": None, "face": color, "width": 1.0, "style": "-", "alpha": 1.0}
    outlines: dict[str, Any] = {
        "s": [[-1, -1], [1, -1], [1, 1], [-1, 1]], "^": [[0, -1], [1, 1], [-1, 1]],
        "x": [[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]], "+": [[[-1, 0], [1, 0]], [[0, -1], [0, 1]]],
    }  # fmt: skip
    if marker in ("o", "."):
        canvas.circle(image, point, half, **look)
    elif marker in ("s", "^"):
        canvas.polygon(image, point + half * np.array(outlines[marker], np.float64), **look)
    elif marker in ("x", "+"):
        for stroke in outlines[marker]:
            ends = point + half * np.array(stroke, np.float64)
            canvas.polyline(image, ends, color=color, width=max(half / 3, 1), style="-", alpha=1.0)
    else:
        raise UsageError(f"there is no marker {marker!r}; there are o, ., s, ^, x and +")


def _of_properties(properties: Any, families: Any, sizes: Any) -> tuple[Any, Any]:
    """Families and sizes from matplotlib's font properties, one or a list."""
    items: Sequence[Any] = properties if isinstance(properties, list) else [properties]
    names = [item.get_file() or item.get_family()[0] for item in items]
    points = [round(item.get_size()) for item in items]
    if isinstance(properties, list):
        return names, (points if sizes is None else sizes)
    return names[0], (points[0] if sizes is None else sizes)
