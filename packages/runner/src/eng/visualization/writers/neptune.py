"""NeptuneVisBackend: writes to Neptune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._tracker import TrackerVisBackend

__all__ = ["NeptuneVisBackend"]


@VISBACKENDS.register_module()
class NeptuneVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to the experiment tracker Neptune.

    Args:
        save_dir: not used, because Neptune has its own folder.
        init_kwargs: keyword arguments of ``neptune.init_run``, such as project, api_token and mode. None (default) uses
            ``mode="offline"``, which writes all data to this machine.
    """

    in_background = True

    def __init__(self, save_dir: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir or "")
        if init_kwargs is None:
            init_kwargs = {"mode": "offline"}
        self._init_kwargs = init_kwargs

    def _init_env(self) -> None:
        self._library = optional_module("neptune", type(self).__name__)
        self._neptune = self._library.init_run(**self._init_kwargs)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The run object of the ``neptune`` library."""
        return self._neptune

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config to Neptune's run as one text."""
        if hasattr(config, "pretty_text"):
            self._neptune["config"] = config.pretty_text
        else:
            self._neptune["config"] = str(config)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to the Neptune run; see :meth:`BaseVisBackend.add_image` for the arguments."""
        pillow = optional_module("PIL.Image", "NeptuneVisBackend.add_image", "pillow")
        picture = self._library.types.File.as_image(pillow.fromarray(as_rgb(image)))
        self._neptune["images"].append(picture, name=name, description=name, step=step)

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._neptune[name].append(value, step=step)

    def _finish(self) -> None:
        self._neptune.stop()
