"""What a tracker has to offer."""

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
    """Decorator for a method that needs the tracker's library: its ``_init_env`` runs before the first such call."""

    @functools.wraps(old_func)
    def wrapper(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(obj, "_env_initialized", False):
            obj._env_initialized = True  # noqa: SLF001  # the decorated methods are the object's own
            obj._init_env()  # noqa: SLF001  # as above
        return old_func(obj, *args, **kwargs)

    return wrapper  # type: ignore[return-value]  # wraps keeps the signature


class BaseVisBackend(metaclass=ABCMeta):
    """Where a visualizer writes to. Nothing is created or imported before the first thing is written.

    Args:
        save_dir: folder for its files.

    Attributes:
        in_background: write from a thread of its own, so that a tracker that fails or hangs cannot hold up a run. A
            class has to say so itself: the methods of one that does not are called where the run calls the visualizer.
    """

    in_background: ClassVar[bool] = False

    def __init__(self, save_dir: str) -> None:
        self._save_dir = save_dir
        self._env_initialized = False

    @property
    @abstractmethod
    def experiment(self) -> Any:
        """The object of the tracker's own library."""

    @abstractmethod
    def _init_env(self) -> Any:
        """Creates folders and the tracker's objects."""

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config of the run."""

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Writes the graph of the model."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image.

        Args:
            name: of it.
            image: as in :func:`~eng.visualization.images.as_rgb`.
            step: to which it belongs.
            **kwargs: of the tracker.
        """

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number: Python's, or a tensor or array with one element."""

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes several numbers of one step.

        Args:
            scalar_dict: by name.
            step: to which they belong.
            file_path: a file for them alone, where the tracker has files.
            **kwargs: where the values belong, as far as it is known: ``axis`` of the step (``"iter"`` or ``"epoch"``),
                ``iteration`` that is over with them, and ``mode`` (see
                :class:`~eng.visualization.curves.Line`).
        """

    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the curves of a run that goes on here, before anything else is written to them.

        Args:
            lines: what earlier starts of the run wrote, up to the place where it goes on.
            file_path: as in `add_scalars`.
        """
        for line in lines:
            self.add_scalars(line.values, line.step, **line.position)

    def start_over(self) -> None:
        """Ends what is open, so that the next call begins a new run of the tracker. A run that goes back in time does it."""
        if self._env_initialized:
            self.close()
            self._env_initialized = False

    def close(self) -> None:
        """Finishes what is open."""


def plain_number(name: str, value: Any) -> float | int | None:
    """`value` as a Python number; None, with a warning, for what trackers cannot draw as a curve."""
    try:
        return as_number(name, value)
    except TypeError:
        _LOGGER.warning("%r is not written to the trackers: a %s is no number", name, type(value).__name__)
        return None
