"""AimVisBackend: writes to Aim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import config_dict
from ._tracker import TrackerVisBackend

__all__ = ["AimVisBackend"]


@VISBACKENDS.register_module()
class AimVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to a repository of the experiment tracker Aim.

    Args:
        save_dir: folder of the Aim repository, unless ``init_kwargs`` has ``repo``.
        init_kwargs: keyword arguments of ``aim.Run``.
    """

    in_background = True

    def __init__(self, save_dir: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir or "")
        self._init_kwargs = init_kwargs or {}

    def _init_env(self) -> None:
        self._library = optional_module("aim", type(self).__name__)
        repository = {}
        if self._save_dir:
            repository["repo"] = self._save_dir
        self._run = self._library.Run(**{**repository, **self._init_kwargs})

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ``aim.Run`` object."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as parameters of the run."""
        self._run.set("config", config_dict(config), strict=False)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to Aim; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._run.track(self._library.Image(as_rgb(image)), name=name, step=step)

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._run.track(value, name=name, step=step)

    def _finish(self) -> None:
        self._run.close()
