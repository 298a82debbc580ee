"""What all trackers share that write through a library of their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from eng.visualization._base import BaseVisBackend, force_init_env

from ._library import numbers

__all__ = ["TrackerVisBackend"]


class TrackerVisBackend(BaseVisBackend):
    """Writes numbers through a tracker's library.

    A subclass begins the tracker's run in ``_init_env``, writes the numbers of a step in ``_log_numbers`` and ends the run in
    ``_finish``. Its class says ``in_background = True`` itself: a subclass outside of this package need not stand a thread.
    """

    @abstractmethod
    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        """Writes the numbers of one step.

        Args:
            values: by the name of their curve.
            step: to which they belong.
            position: ``axis``, ``mode`` and ``iteration`` as far as they are known; see :meth:`BaseVisBackend.add_scalars`.
        """

    @abstractmethod
    def _finish(self) -> None:
        """Ends the tracker's run, after it has begun."""

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number; a value that is none is left out with a warning."""
        self.add_scalars({name: value}, step, **kwargs)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes the numbers of one step; ``step`` among them overrides `step`.

        Raises:
            TypeError: `scalar_dict` is not a mapping.
        """
        values = numbers(scalar_dict, kwargs.get("mode"))
        self._log_numbers(values, scalar_dict.get("step", step), kwargs)

    def close(self) -> None:
        """Writes what waits, uploads what the run is to leave behind, and ends the tracker's run."""
        if self._env_initialized:
            self._finish()
