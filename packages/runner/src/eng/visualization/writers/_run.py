"""What trackers share whose library logs mappings to a run object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import flat, plain_value
from ._tracker import TrackerVisBackend


class RunVisBackend(TrackerVisBackend):
    """Writes to a run with ``config``, ``log`` and ``finish``; a subclass begins the run in ``_init_env``.

    Attributes:
        _library: the tracker's module, which has ``Image``.
        _run: what its ``init`` gave.
    """

    _library: Any
    _run: Any

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The tracker's run."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config, by dotted key, as the run's."""
        plain = flat(config.to_dict() if hasattr(config, "to_dict") else config)
        self._run.config.update({key: plain_value(value) for key, value in plain.items()})

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        self._run.log({name: self._library.Image(as_rgb(image))}, step=step)

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        self._run.log(values, step=step)

    def _finish(self) -> None:
        self._run.finish()
