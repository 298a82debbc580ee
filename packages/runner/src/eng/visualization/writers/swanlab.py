"""SwanLab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.registry import VISBACKENDS
from eng.visualization._base import BaseVisBackend, force_init_env
from eng.visualization.images import as_rgb

from ._library import flat, library, numbers, plain_value

__all__ = ["SwanLabVisBackend"]


@VISBACKENDS.register_module()
class SwanLabVisBackend(BaseVisBackend):
    """Writes to SwanLab.

    Args:
        save_dir: folder of the run's files; SwanLab's lie in ``swanlab`` below it.
        init_kwargs: of ``swanlab.init``: project, workspace, mode (``"offline"``, the default here, keeps all on this machine;
            ``"online"`` sends) …
    """

    in_background = True

    def __init__(self, save_dir: str, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir)
        folder = {"log_dir": str(Path(save_dir) / "swanlab")}
        self._init_kwargs = {"mode": "offline", "project": "eng", **folder, **(init_kwargs or {})}

    def _init_env(self) -> None:
        self._library = library("swanlab", type(self).__name__)
        Path(self._init_kwargs["log_dir"]).mkdir(parents=True, exist_ok=True)
        self._run = self._library.init(**self._init_kwargs)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The SwanLab run."""
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

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number."""
        self.add_scalars({name: value}, step, **kwargs)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes the numbers of one step."""
        self._run.log(numbers(scalar_dict, kwargs.get("mode")), step=scalar_dict.get("step", step))

    def close(self) -> None:
        """Writes what waits and ends the run."""
        if self._env_initialized:
            self._run.finish()
