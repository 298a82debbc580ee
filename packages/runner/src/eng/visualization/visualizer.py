"""The visualizer: what a run shows, drawn on an image and written to trackers."""

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
    """Draws on an image, and writes configs, scalars, images and graphs to all of its trackers.

    Args:
        name: under which :meth:`get_instance` finds it.
        image: to draw on; see :meth:`set_image`.
        vis_backends: trackers, as configs or objects.
        save_dir: their files go to ``vis_data`` in it.
        fig_save_cfg: for the figure that images are drawn on.
        fig_show_cfg: for the window.

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
        fig_save_cfg: Mapping[str, Any] = {"frameon": False},  # the reference's signature; never changed
        fig_show_cfg: Mapping[str, Any] = {"frameon": False},  # as above
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
        """The visualizer called `name`; one of a subclass is known to `Visualizer` too, so that anybody finds it."""
        instance = super().get_instance(name, **kwargs)
        with Visualizer._instance_lock:
            Visualizer._instance_dict[name] = instance
            Visualizer._instance_dict.move_to_end(name)
        return instance

    @classmethod
    def make_current(cls, name: str) -> str | None:
        """Makes the visualizer called `name` the current one, of `Visualizer` too; see the base class."""
        before = super().make_current(name)
        return before if cls is Visualizer else Visualizer.make_current(name)

    def release(self) -> None:
        """Makes the class forget this visualizer, and `Visualizer` too, which knows those of subclasses."""
        super().release()
        with Visualizer._instance_lock:
            names = list(Visualizer._instance_dict)
            if Visualizer._instance_dict.get(self.instance_name) is self and names[-1] != self.instance_name:
                del Visualizer._instance_dict[self.instance_name]

    @classmethod
    def find(cls, name: str) -> Visualizer | None:
        """The visualizer called `name`, whatever its class; None where there is none."""
        return Visualizer._instance_dict.get(name)

    @classmethod
    def drop(cls, name: str) -> None:
        """Gives the name of a visualizer free at once; whoever holds the visualizer goes on with it."""
        with Visualizer._instance_lock:
            dropped = Visualizer._instance_dict.pop(name, None)
            if dropped is not None:
                type(dropped)._instance_dict.pop(name, None)  # noqa: SLF001  # of a subclass

    @property
    def _vis_backends(self) -> dict[str, BaseVisBackend]:
        return self._fan_out.backends

    @_vis_backends.setter
    def _vis_backends(self, backends: Mapping[str, BaseVisBackend]) -> None:
        # Hooks of libraries take all trackers away where a window is to be shown.
        self._fan_out.backends = dict(backends)

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset, such as its classes and palette."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta

    def get_backend(self, name: str) -> BaseVisBackend | None:
        """The tracker called `name`; None where there is none, as in MMEngine."""
        return self._vis_backends.get(name)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config of the run."""
        self._config = config
        self._fan_out("add_config", config, **kwargs)

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Writes the graph of the model."""
        self._fan_out("add_graph", model, data_batch, **kwargs)

    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """Writes an image; see :func:`~eng.visualization.images.as_rgb` for what is one."""
        self._fan_out("add_image", name, image, step)

    def add_scalar(self, name: str, value: float | torch.Tensor | np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes a number; `kwargs` as in :meth:`add_scalars`."""
        self._has_curves = True
        self._fan_out("add_scalar", name, value, step, **{**self._moment(), **current_axis(), **kwargs})

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes several numbers of one step.

        Args:
            scalar_dict: by name.
            step: to which they belong.
            file_path: a file for them alone, in the folder of each tracker that has files.
            **kwargs: for the trackers; ``axis`` says what `step` counts, ``"iter"`` or ``"epoch"``, and so does
                :func:`~eng.visualization.axis.step_counts` around the call.
        """
        self._has_curves = True
        position = {**self._moment(), **current_axis(), **kwargs}
        self._fan_out("add_scalars", scalar_dict, step, file_path, **position)

    # --- a run that is stopped and goes on ---------------------------------------------------------------------

    def follow(self, moment: Callable[[], Mapping[str, Any]]) -> None:
        """Marks all scalars from now on with where in the run they were written.

        Args:
            moment: gives ``iteration`` and ``mode``, as in :class:`~eng.visualization.curves.Line`. Of a method, the
                object is not kept alive: visualizers are known by name for longer than a run lives.
        """
        self._moment = _without_owner(moment) if inspect.ismethod(moment) else moment

    @property
    def scalar_file(self) -> Path | None:
        """Where the JSON lines are written; None without a LocalVisBackend."""
        local = (backend for backend in self._vis_backends.values() if isinstance(backend, LocalVisBackend))
        return next((backend.scalar_file for backend in local), None)

    def go_on_from(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Makes the curves of all trackers those of `lines`, to which the run then adds.

        Where this visualizer wrote curves already, as in a run that goes back to a checkpoint, each tracker begins a new
        run: most trackers cannot take points back.

        Args:
            lines: what was written up to the place where the run goes on.
            file_path: as in :meth:`add_scalars`.
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
        """Draws a sample with its annotations. Tasks differ, so a library's own visualizer overrides it; here it does nothing."""

    def close(self) -> None:
        """Closes all trackers."""
        self._fan_out("close")

    def abandon(self) -> None:
        """Closes all trackers without waiting for any, as the run that wrote to them is gone."""
        self._fan_out.abandon()


def _without_owner(moment: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
    """The same as long as the object that the method belongs to lives; nothing afterwards."""
    reference = weakref.WeakMethod(moment)

    def moment_of_the_living() -> Mapping[str, Any]:
        method = reference()
        return method() if method is not None else {}

    return moment_of_the_living
