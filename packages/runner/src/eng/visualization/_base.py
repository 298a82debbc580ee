"""BaseVisBackend, the interface of trackers: backends to which a visualizer writes scalars, images and configs."""

from __future__ import annotations

import functools
import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from eng.logging.metric_values import as_number

from .curves.lines import Line

__all__ = ["BaseVisBackend", "force_init_env", "plain_number"]

_LOGGER = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])


def force_init_env(old_func: F) -> F:
    """Decorates a method of a tracker so that the tracker's ``_init_env`` is called once, before the first such method."""

    @functools.wraps(old_func)
    def wrapper(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(obj, "_env_initialized", False):
            obj._env_initialized = True  # noqa: SLF001  # The decorator is applied inside the object's own class.
            obj._init_env()  # noqa: SLF001  # The decorator is applied inside the object's own class.
        return old_func(obj, *args, **kwargs)

    return wrapper  # type: ignore[return-value]  # wraps keeps the signature


class BaseVisBackend(metaclass=ABCMeta):
    """Base class of trackers. Folders are created and libraries imported only when something is written.

    Args:
        save_dir: folder for the tracker's files.

    Attributes:
        in_background: whether the methods are called in a separate thread, so that a tracker that fails or hangs cannot
            stop a run. Only the value in the class itself counts; a subclass has to set it again. Without it, the methods
            are called in the thread that calls the visualizer.
    """

    in_background: ClassVar[bool] = False

    def __init__(self, save_dir: str) -> None:
        self._save_dir = save_dir
        self._env_initialized = False

    @property
    @abstractmethod
    def experiment(self) -> Any:
        """The tracker's native object, such as the run of its library."""

    @abstractmethod
    def _init_env(self) -> Any:
        """Creates the folders and the objects of the tracker's library, before the first write."""

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config of the run."""

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Writes the graph of the model."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image.

        Args:
            name: name of the image.
            image: an image in one of the forms of :func:`~eng.visualization.images.as_rgb`.
            step: iteration or epoch of the image.
            **kwargs: further options of the tracker.
        """

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a scalar: a Python number, or a tensor or array with one element."""

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes several scalars of one step.

        Args:
            scalar_dict: scalars by name.
            step: iteration or epoch of the scalars.
            file_path: name of an additional file for these scalars, if the tracker writes files.
            **kwargs: position in the run, as far as it is known: ``axis`` of the step (``"iter"`` or ``"epoch"``),
                ``iteration``, the number of completed iterations, and ``mode`` (see
                :class:`~eng.visualization.curves.Line`).
        """

    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the earlier scalars of a resumed run, before new ones, so that its curves are continuous.

        Args:
            lines: scalars that earlier starts of the run wrote, up to the iteration at which the run resumes.
            file_path: name of an additional file for these scalars, if the tracker writes files.
        """
        for line in lines:
            self.add_scalars(line.values, line.step, **line.position)

    def start_over(self) -> None:
        """Closes the tracker's run, so that the next write begins a new one.

        It is called when a run returns to an earlier checkpoint: most trackers cannot delete the points after it.
        """
        if self._env_initialized:
            self.close()
            self._env_initialized = False

    def close(self) -> None:
        """Writes buffered data and closes the tracker's run."""


def plain_number(name: str, value: Any) -> float | int | None:
    """Converts ``value`` to a Python number; returns None, with a warning, for a value that is not a single number."""
    try:
        return as_number(name, value)
    except TypeError:
        _LOGGER.warning("%r is not written to the trackers: a %s is no number", name, type(value).__name__)
        return None
