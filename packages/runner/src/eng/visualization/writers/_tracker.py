"""TrackerVisBackend, the base class of trackers that write through a third-party library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from eng.visualization._base import BaseVisBackend, force_init_env

from ._library import numbers

__all__ = ["TrackerVisBackend"]


class TrackerVisBackend(BaseVisBackend):
    """Base class of experiment trackers that write through a library, such as MLflow.

    A subclass creates the run of the library in ``_init_env``, writes the scalars of a step in ``_log_numbers`` and
    ends the run in ``_finish``. Each subclass in eng sets ``in_background = True`` itself, to be called from a separate
    thread. A subclass in another package does not inherit the value, since it may not be thread-safe.
    """

    @abstractmethod
    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        """Writes the scalars of one step.

        Args:
            values: scalars by the name of their curve.
            step: iteration or epoch of the scalars.
            position: ``axis``, ``mode`` and ``iteration`` as far as they are known; see :meth:`BaseVisBackend.add_scalars`.
        """

    @abstractmethod
    def _finish(self) -> None:
        """Ends the run of the tracker's library; called only if ``_init_env`` has created the run."""

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a scalar; a value that is not a single number is not written, and a warning is logged."""
        self.add_scalars({name: value}, step, **kwargs)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes the scalars of one step.

        If ``scalar_dict`` has an entry ``step``, it is the step, instead of the argument ``step``.

        Raises:
            TypeError: ``scalar_dict`` is not a mapping.
        """
        values = numbers(scalar_dict, kwargs.get("mode"))
        self._log_numbers(values, scalar_dict.get("step", step), kwargs)

    def close(self) -> None:
        """Writes buffered data, uploads files of the run (artifacts), and ends the run of the tracker's library."""
        if self._env_initialized:
            self._finish()
