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
    """Decorator for a method of an experiment tracker: the tracker's ``_init_env`` is called before the method.

    ``_init_env`` is called only once per tracker, by the first call of any decorated method.
    """

    @functools.wraps(old_func)
    def wrapper(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(obj, "_env_initialized", False):
            obj._env_initialized = True  # noqa: SLF001  # The decorator is applied inside the object's own class.
            obj._init_env()  # noqa: SLF001  # The decorator is applied inside the object's own class.
        return old_func(obj, *args, **kwargs)

    return wrapper  # type: ignore[return-value]  # wraps keeps the signature


class BaseVisBackend(metaclass=ABCMeta):
    """Base class of experiment trackers, which write scalars, images and configs to TensorBoard, MLflow and so on.

    A tracker creates its folders and imports its library when it writes for the first time.

    Args:
        save_dir: folder for the tracker's files.

    Attributes:
        in_background: whether the methods are called in a separate thread, so that a tracker that fails or hangs cannot
            stop a run. If False, the methods are called in the training thread. A subclass does not inherit the value:
            it must set the attribute itself.
    """

    in_background: ClassVar[bool] = False

    def __init__(self, save_dir: str) -> None:
        self._save_dir = save_dir
        self._env_initialized = False

    @property
    @abstractmethod
    def experiment(self) -> Any:
        """The object by which the tracker's library is used, such as its run or its ``SummaryWriter``."""

    @abstractmethod
    def _init_env(self) -> Any:
        """Creates the folders and the objects of the tracker's library, before the first write."""

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config of the run to the tracker."""

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Writes the graph of the model's operations to the tracker, if the tracker can show graphs."""

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
            **kwargs: position of the scalars in the run, as far as it is known: ``axis``, the unit of `step`
                (``"iter"`` or ``"epoch"``); ``iteration``, the number of completed iterations; and ``mode``, such as
                ``"train"`` (see :class:`~eng.visualization.curves.Line`).
        """

    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the earlier scalars of a resumed run, before new ones, so that its curves are continuous.

        Args:
            lines: scalars that earlier launches of the run wrote, up to the iteration at which the run resumes.
            file_path: name of an additional file for these scalars, if the tracker writes files.
        """
        for line in lines:
            self.add_scalars(line.values, line.step, **line.position)

    def start_over(self) -> None:
        """Closes the run in the tracker's library, so that the next write begins a new run there.

        This is called when training returns to an earlier checkpoint: most trackers cannot delete the points that were
        written after the checkpoint.
        """
        if self._env_initialized:
            self.close()
            self._env_initialized = False

    def close(self) -> None:
        """Writes buffered data, and closes the run in the tracker's library."""


def plain_number(name: str, value: Any) -> float | int | None:
    """Converts the value of the scalar ``name`` to a Python number.

    For a value that is not a single number, None is returned and a warning is logged.
    """
    try:
        return as_number(name, value)
    except TypeError:
        _LOGGER.warning("%r is not written to the trackers: a %s is no number", name, type(value).__name__)
        return None
