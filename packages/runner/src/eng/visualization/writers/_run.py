"""RunVisBackend, the base class of trackers whose library has a run object with ``config``, ``log`` and ``finish``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import config_dict, flat, plain_value
from ._tracker import TrackerVisBackend


class RunVisBackend(TrackerVisBackend):
    """Base class of trackers whose library has a run object with ``config``, ``log`` and ``finish``, like wandb.

    A subclass creates the run object in ``_init_env``.

    Attributes:
        _library: the module of the tracker's library, which has a class ``Image``.
        _run: the run object that the library's ``init`` returned.
    """

    _library: Any
    _run: Any

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The run object that the tracker's library has created."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config into ``config`` of the library's run object, as a flat dict with dotted keys."""
        plain = flat(config_dict(config))
        self._run.config.update({key: plain_value(value) for key, value in plain.items()})

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to the run in the tracker; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._run.log({name: self._library.Image(as_rgb(image))}, step=step)

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        self._run.log(values, step=step)

    def _finish(self) -> None:
        self._run.finish()
