"""Visualizer: draws annotations on images, and writes scalars, images and configs of a run to trackers."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.registry import VISUALIZERS, ManagerMixin

from ._base import BaseVisBackend
from .axis import current_axis
from .curves.lines import Line
from .drawing import Drawing
from .fan_out import FanOut, build_backends
from .writers.local import LocalVisBackend

__all__ = ["Visualizer"]


@VISUALIZERS.register_module()
class Visualizer(Drawing, ManagerMixin):
    """Draws on an image, and writes configs, scalars, images and graphs to experiment trackers such as TensorBoard.

    Args:
        name: name under which :meth:`get_instance` returns the visualizer.
        image: image to draw on; see :meth:`set_image`.
        vis_backends: the trackers, as configs or objects.
        save_dir: folder in which the trackers write their files, in the subfolder ``vis_data``.
        fig_save_cfg: options of the matplotlib figure :attr:`fig_save`.
        fig_show_cfg: options of the figure in a window; they have no effect and exist for MMEngine's configs.

    Examples:
        >>> import tempfile
        >>> visualizer = Visualizer(vis_backends=[dict(type="LocalVisBackend")], save_dir=tempfile.mkdtemp())
        >>> visualizer.add_scalar("loss", 0.5, step=1)
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray | None = None,
        vis_backends: Any = None,
        save_dir: str | None = None,
        # The defaults are those of MMEngine's signature. They are copied below, so they are never changed.
        fig_save_cfg: Mapping[str, Any] = {"frameon": False},
        fig_show_cfg: Mapping[str, Any] = {"frameon": False},
    ) -> None:
        super().__init__(name)
        self._dataset_meta: dict[str, Any] | None = None
        self._fan_out = FanOut(build_backends(vis_backends, save_dir))
        self._moment: Callable[[], Mapping[str, Any]] = dict
        self._config: Any = None
        self._has_curves = False
        self.run_name: str | None = None
        self.fig_save_cfg = dict(fig_save_cfg)
        self.fig_show_cfg = dict(fig_show_cfg)
        if image is not None:
            self.set_image(image)

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> Visualizer:
        """Returns the visualizer with the name ``name``, and creates it at the first call.

        An instance of a subclass is also registered in the class ``Visualizer``, so that
        ``Visualizer.get_instance(name)`` finds an instance of any subclass.
        """
        instance = super().get_instance(name, **kwargs)
        with Visualizer._instance_lock:
            Visualizer._instance_dict[name] = instance
            Visualizer._instance_dict.move_to_end(name)
        return instance

    @classmethod
    def make_current(cls, name: str) -> str | None:
        """Makes the visualizer ``name`` the current instance, which ``get_current_instance`` returns.

        It becomes the current instance of this class and of ``Visualizer``.

        Returns:
            The name of the former current instance of ``Visualizer``; None if there was no instance.
        """
        before = super().make_current(name)
        if cls is Visualizer:
            return before
        return Visualizer.make_current(name)

    def release(self) -> None:
        """Unregisters this visualizer, so that ``get_instance`` no longer finds it and its memory can be freed.

        If this visualizer is the current instance, it stays registered.
        """
        super().release()
        with Visualizer._instance_lock:
            names = list(Visualizer._instance_dict)
            if Visualizer._instance_dict.get(self.instance_name) is self and names[-1] != self.instance_name:
                del Visualizer._instance_dict[self.instance_name]

    @classmethod
    def find(cls, name: str) -> Visualizer | None:
        """Returns the visualizer with the name ``name``, an instance of any subclass; None if there is none."""
        return Visualizer._instance_dict.get(name)

    @classmethod
    def drop(cls, name: str) -> None:
        """Unregisters the visualizer with the name ``name``; code that holds the object can still use it."""
        with Visualizer._instance_lock:
            dropped = Visualizer._instance_dict.pop(name, None)
            if dropped is not None:
                type(dropped)._instance_dict.pop(name, None)  # noqa: SLF001  # The instances of a subclass of this class.

    @property
    def _vis_backends(self) -> dict[str, BaseVisBackend]:
        return self._fan_out.backends

    @_vis_backends.setter
    def _vis_backends(self, backends: Mapping[str, BaseVisBackend]) -> None:
        # The visualization hooks of MMPretrain and MMDetection set this attribute to {} to write nothing to trackers
        # while they show images in a window. So this attribute can be set, as in MMEngine.
        self._fan_out.backends = dict(backends)

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset, such as its classes and palette."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta

    def get_backend(self, name: str) -> BaseVisBackend | None:
        """Returns the tracker with the name ``name``; None if there is none, as in MMEngine."""
        return self._vis_backends.get(name)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config of the run to all trackers."""
        self._config = config
        self._fan_out("add_config", config, **kwargs)

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Writes the graph of the model to all trackers that can show graphs."""
        self._fan_out("add_graph", model, data_batch, **kwargs)

    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """Writes an image, in one of the forms of :func:`~eng.visualization.images.as_rgb`, to all trackers."""
        self._fan_out("add_image", name, image, step)

    def add_scalar(self, name: str, value: float | torch.Tensor | np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes a scalar to all trackers; ``kwargs`` are those of :meth:`add_scalars`."""
        self._has_curves = True
        self._fan_out("add_scalar", name, value, step, **{**self._moment(), **current_axis(), **kwargs})

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes several scalars of one step to all trackers.

        Args:
            scalar_dict: scalars by name.
            step: iteration or epoch of the scalars.
            file_path: name of an additional file for these scalars, in the folder of each tracker that writes files.
            **kwargs: further options of the trackers. ``axis`` is the unit of ``step``, ``"iter"`` or ``"epoch"``; it can
                also be set with :func:`~eng.visualization.axis.step_counts` around the call.
        """
        self._has_curves = True
        position = {**self._moment(), **current_axis(), **kwargs}
        self._fan_out("add_scalars", scalar_dict, step, file_path, **position)

    # --- scalars of resumed runs -------------------------------------------------------------------------------

    def follow(self, moment: Callable[[], Mapping[str, Any]]) -> None:
        """Sets a function that returns the current position in the run, which is written with all scalars from now on.

        Args:
            moment: function that returns ``iteration`` and ``mode``, as in :class:`~eng.visualization.curves.Line`. If
                the function is a method, only a weak reference to its object is stored: the visualizer stays registered
                by its name after the run, and must not keep the runner in memory.
        """
        if inspect.ismethod(moment):
            moment = _weak_method(moment)
        self._moment = moment

    @property
    def scalar_file(self) -> Path | None:
        """Path of the JSON lines file with the scalars; None without a LocalVisBackend."""
        local = (backend for backend in self._vis_backends.values() if isinstance(backend, LocalVisBackend))
        return next((backend.scalar_file for backend in local), None)

    def go_on_from(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the earlier scalars of a resumed run to all trackers, so that the curves of the run are continuous.

        This visualizer may have written scalars before, if training returns to an earlier checkpoint without a new
        launch. In this case each tracker begins a new run, because most trackers cannot delete points.

        Args:
            lines: scalars that were written up to the iteration at which the run resumes.
            file_path: name of an additional file for these scalars, in the folder of each tracker that writes files.
        """
        if self._has_curves:
            self._fan_out("start_over")
            if self._config is not None:
                self._fan_out("add_config", self._config)
        self._has_curves = True
        self._fan_out("replay", lines, file_path)

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Any | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: int = 0,
        step: int = 0,
    ) -> None:
        """Draws a sample with its annotations and predictions.

        This implementation does nothing: the visualizer of each library overrides the method for its own task.
        """

    def close(self) -> None:
        """Closes all trackers; waits, for a limited time, until they have written queued data."""
        self._fan_out("close")

    def abandon(self) -> None:
        """Closes all trackers without waiting until they have written queued data.

        This is called after the runner that used this visualizer was deleted.
        """
        self._fan_out.abandon()


def _weak_method(moment: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
    """Returns a function that calls a method, without keeping the method's object in memory.

    After the object is deleted, the function returns ``{}``.
    """
    reference = weakref.WeakMethod(moment)

    def weak_moment() -> Mapping[str, Any]:
        method = reference()
        if method is None:
            return {}
        return method()

    return weak_moment
