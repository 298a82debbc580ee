"""Drawing, the base class of Visualizer with the methods that check their arguments and draw shapes on an image."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
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

_DEFAULT_AREA = 36.0


class Drawing:
    """Draws shapes and texts on an image. Each call draws on the result of the earlier calls."""

    fig_save_cfg: Mapping[str, Any] = {}
    _image: np.ndarray | None = None
    _overlay: Overlay | None = None

    # --- setting, reading and showing the image ----------------------------------------------------------------

    def set_image(self, image: np.ndarray) -> None:
        """Sets the image to draw on. The image is copied, so drawing does not change the array.

        Args:
            image: (height, width) or (height, width, 1) grey, (height, width, 3) RGB, or (height, width, 4) RGB with an
                alpha channel, which is dropped; uint8 from 0 to 255. Other number types are rounded to uint8.

        Raises:
            ValueError: ``image`` is None, or an array of another shape.
        """
        self._image = as_rgb(image)
        self._overlay = None
        self.height, self.width = self._image.shape[:2]
        # To be readable on an image of any size, text is 1/90 of the image's side in height, and at least 10 pixels.
        self._default_font_size = max(int(np.sqrt(self.height * self.width) // 90), 10)

    def get_image(self) -> np.ndarray:
        """Returns a copy of the image with all drawings, (height, width, 3) uint8 RGB, in the size of the original image.

        Raises:
            NoImageError: :meth:`set_image` was not called (the error is a ValueError and an AttributeError).
        """
        return self._canvas().copy()

    def _canvas(self) -> np.ndarray:
        """Returns the array on which shapes are drawn in place, with the drawings on :attr:`fig_save` so far."""
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
        """Shows an image in a window until a key is pressed or the time is over.

        Args:
            drawn_img: image to show, (height, width, 3) uint8 RGB; None (default) shows the image with all drawings.
            win_name: title of the window.
            wait_time: seconds until the window is closed; 0 waits for the key.
            continue_key: key that closes the window.
            backend: ``"matplotlib"`` or ``"cv2"``.

        Raises:
            ValueError: the backend is unknown, or there is no image.
        """
        if drawn_img is None:
            drawn_img = self.get_image()
        window.show(drawn_img, win_name, wait_time, continue_key, backend)

    @property
    def ax_save(self) -> Axes:
        """Axes of a matplotlib figure over the image, for code that draws with matplotlib; see :class:`Axes`."""
        return Axes(self)

    @property
    def fig_save(self) -> Any:
        """The matplotlib figure of :attr:`ax_save`; :meth:`get_image` includes the drawings on it."""
        return self._open_overlay().figure

    @property
    def fig_save_canvas(self) -> Any:
        """The matplotlib canvas of the figure :attr:`fig_save`."""
        return self._open_overlay().canvas

    @property
    def dpi(self) -> float:
        """Dots per inch of the matplotlib figure :attr:`fig_save`."""
        return float(self.fig_save_cfg.get("dpi", DPI))

    def _open_overlay(self) -> Overlay:
        if self._overlay is None:
            self._overlay = Overlay(self._image, dict(self.fig_save_cfg))
        return self._overlay

    def _is_posion_valid(self, position: np.ndarray) -> bool:
        """Whether points (x and y in the last dimension) are inside the image or on its edge.

        The misspelt name is MMEngine's; visualizers of other libraries call it.
        """
        return bool(((position >= 0) & (position <= (self.width, self.height))).all())

    def _warn_outside(self, points_N2: np.ndarray, name: str) -> None:
        if len(points_N2) and not self._is_posion_valid(points_N2):
            warnings.warn(
                f"{name} out of bounds: a part lies outside the image of {self.width} x {self.height} and is cut off",
                UserWarning,
                stacklevel=3,
            )

    # --- drawing shapes on the image ---------------------------------------------------------------------------

    def draw_bboxes(
        self: Self,
        bboxes: Array,
        edge_colors: Color | list[Any] = "g",
        line_styles: str | list[str] = "-",
        line_widths: Number | list[Number] = 2,
        face_colors: Color | list[Any] = "none",
        alpha: Number = 0.8,
    ) -> Self:
        """Draws boxes. Parts outside the image are cut off, with a warning.

        Args:
            bboxes: (4,) or (N, 4), x1 y1 x2 y2 in pixels.
            edge_colors: colour of the outline, or a list with one colour per box; ``"none"`` draws no outline.
            line_styles: ``-``, ``--``, ``-.`` or ``:``, or a list with one style per box.
            line_widths: width of the outline in pixels, or a list with one width per box.
            face_colors: fill colour, or a list with one colour per box; ``"none"`` (default) does not fill.
            alpha: opacity, from 0 (invisible) to 1 (opaque).

        Raises:
            ValueError: ``bboxes`` has another shape, ``x1 > x2`` or ``y1 > y2``, a colour or style is unknown, or a list has
                another length than ``bboxes``.
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
            polygons: corners of one polygon, (M, 2) with x and y in pixels, or a list of such arrays.
            edge_colors, line_styles, line_widths, face_colors, alpha: see :meth:`draw_bboxes`.

        Raises:
            ValueError: see :meth:`draw_bboxes`.
        """
        if not isinstance(polygons, list):
            polygons = [polygons]
        corners = [_points(points, 2, "polygons") for points in polygons]
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
            center: (2,) or (N, 2), x and y of the centres in pixels.
            radius: (N,) radii in pixels.
            edge_colors, line_styles, line_widths, face_colors, alpha: see :meth:`draw_bboxes`.

        Raises:
            ValueError: the numbers of centres and radii differ; otherwise see :meth:`draw_bboxes`.
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
            x_datas: (2,) or (N, 2), x of each line's two ends in pixels.
            y_datas: (2,) or (N, 2), y of each line's two ends in pixels.
            colors, line_styles, line_widths: one value, or a list with one value per line.

        Raises:
            ValueError: the arrays have other or different shapes, a colour or style is unknown, or a list has another length.
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
            colors: one colour, or a list with one colour per point.
            marker: ``None`` or ``"o"`` for discs, ``"s"`` squares, ``"^"`` triangles, ``"x"`` or ``"+"`` crosses.
            sizes: (N,) areas in square pixels, or one area for all points; 36 by default.

        Raises:
            ValueError: ``positions`` has another shape, the marker or a colour is unknown, or a list has another length.
        """
        image, points_N2 = self._canvas(), _points(positions, 2, "positions")
        if sizes is None:
            sizes = _DEFAULT_AREA
        areas_N = _areas(sizes, len(points_N2))
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
        """Draws texts.

        Args:
            texts: one text or a list of texts; a text is split into lines at line breaks.
            positions: (2,) or (N, 2), x and y in pixels.
            font_sizes: height of the letters in pixels; None (default) depends on the size of the image.
            colors: one colour, or a list with one colour per text.
            vertical_alignments: part of the text that is at its position: ``top``, ``center``, ``bottom`` or ``baseline``.
            horizontal_alignments: part of the text that is at its position: ``left``, ``center`` or ``right``.
            font_families: names of font families or paths of font files.
            bboxes: ``facecolor``, ``edgecolor``, ``alpha`` and ``pad`` of a box behind the text.
            font_properties: matplotlib's `FontProperties`; only its file or family and its size are used.

        Raises:
            ValueError: the numbers of texts and positions differ, a colour or alignment is unknown, or a list has another
                length than the texts.
        """
        image, points_N2 = self._canvas(), _points(positions, 2, "positions")
        self._warn_outside(points_N2, "draw_texts")
        items = [texts]
        if not isinstance(texts, str):
            items = list(texts)
        if len(items) != len(points_N2):
            raise UsageError(f"{len(items)} texts need as many positions, got {len(points_N2)}")
        if font_properties is not None:
            font_families, font_sizes = _font_settings(font_properties, font_sizes)
        if font_sizes is None:
            font_sizes = self._default_font_size
        columns = (
            for_each(font_sizes, len(items), "font_sizes"),
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
        """Blends a colour into those pixels of the image for which a mask is true.

        Args:
            binary_masks: (H, W) or (N, H, W) bool (or 0 and 1), in the size of the image.
            colors: one colour, or a list with one colour per mask.
            alphas: opacity of the colour from 0 to 1, or a list with one opacity per mask.

        Raises:
            ValueError: the masks have another size than the image, a colour is unknown, or a list has another length.
        """
        image = self._canvas()
        masks_NHW = _array(binary_masks, "binary_masks")
        if masks_NHW.ndim == 2:
            masks_NHW = masks_NHW[None]
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
    """Stands in for matplotlib's axes in visualizers of other libraries.

    The method ``text`` draws on the image directly, without matplotlib. For any other attribute a matplotlib figure
    over the image is opened, and the attribute of its axes is returned.
    """

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # `copy` and `pickle` ask for special methods, for which no matplotlib figure must be opened.
            raise AttributeError(name)
        return getattr(self.drawing._open_overlay().axes, name)  # noqa: SLF001  # Drawing creates its Axes.

    def text(self, x: float, y: float, s: str, **kwargs: Any) -> None:
        """Draws a text at (x, y) in pixels; accepts the keywords of matplotlib's ``Axes.text``."""
        size = kwargs.get("size", kwargs.get("fontsize"))
        font_size = None
        if isinstance(size, (int, float)):
            font_size = int(size)
        self.drawing.draw_texts(
            s,
            np.array([x, y]),
            font_sizes=font_size,
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
    """Returns the area of each of ``count`` points; ``sizes`` has one area for all points, or one per point."""
    if not isinstance(sizes, torch.Tensor):
        sizes = np.asarray(sizes)
    areas_N = _numbers(sizes, "sizes").reshape(-1)
    if len(areas_N) not in (1, count):
        raise UsageError(f"sizes: expected one area or {count}, got {len(areas_N)}")
    return np.broadcast_to(areas_N, count)


def _points(value: Any, columns: int, name: str) -> np.ndarray:
    array = _numbers(value, name)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != columns:
        raise UsageError(f"{name}: expected ({columns},) or (N, {columns}), got {np.shape(value)}")
    return array


def _looks(count: int, edges: Any, styles: Any, widths: Any, faces: Any) -> list[dict[str, Any]]:
    """Returns for each of ``count`` shapes its outline colour, line style, line width and fill colour by name.

    The other arguments are one value for all shapes, or a list with one value per shape.
    """
    columns = (
        for_each(edges, count, "edge_colors"), for_each(styles, count, "line_styles"),
        for_each(widths, count, "line_widths"), for_each(faces, count, "face_colors"),
    )  # fmt: skip
    return [
        {"edge": to_rgb(edge), "style": style, "width": float(width), "face": to_rgb(face)}
        for edge, style, width, face in zip(*columns, strict=True)
    ]


def _draw_marker(image: np.ndarray, point: np.ndarray, half: float, color: Any, marker: str) -> None:
    """Draws one marker with its centre at a point; ``half`` is half of the marker's width in pixels."""
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


def _font_settings(properties: Any, sizes: Any) -> tuple[Any, Any]:
    """Returns the font families and sizes in matplotlib's ``FontProperties``, one object or a list of one per text.

    The argument ``sizes``, if it is not None, takes precedence over the sizes in the properties.
    """
    if isinstance(properties, list):
        settings = [_font_settings(item, None) for item in properties]
        names: Any = [name for name, _ in settings]
        points: Any = [size for _, size in settings]
    else:
        names = properties.get_file() or properties.get_family()[0]
        points = round(properties.get_size())
    if sizes is None:
        return names, points
    return names, sizes
