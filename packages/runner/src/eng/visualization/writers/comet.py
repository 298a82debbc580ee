"""Comet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.registry import VISBACKENDS
from eng.visualization._base import BaseVisBackend, force_init_env
from eng.visualization.images import as_rgb

from ._library import flat, library, numbers

__all__ = ["CometVisBackend"]


@VISBACKENDS.register_module()
class CometVisBackend(BaseVisBackend):
    """Writes to Comet.

    Args:
        save_dir: folder of the run's files; archives of offline runs lie in ``comet`` below it.
        offline: whether to keep all on this machine, for ``comet upload`` later. True by default.
        init_kwargs: of ``comet_ml.Experiment`` or ``comet_ml.OfflineExperiment``: project_name, workspace, api_key …
    """

    in_background = True

    def __init__(self, save_dir: str, offline: bool = True, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir)
        self._offline = offline
        # Code, environment variables of a shell and metrics of other libraries are not the run's to send.
        quiet = {
            "log_code": False,
            "auto_metric_logging": False,
            "auto_param_logging": False,
            "display_summary_level": 0,
        }
        folder = {"offline_directory": str(Path(save_dir) / "comet")} if offline else {}
        self._init_kwargs = {**quiet, **folder, **(init_kwargs or {})}

    def _init_env(self) -> None:
        comet = library("comet_ml", type(self).__name__)
        self._run = (comet.OfflineExperiment if self._offline else comet.Experiment)(**self._init_kwargs)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The Comet experiment."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config, by dotted key, as parameters."""
        self._run.log_parameters(flat(config.to_dict() if hasattr(config, "to_dict") else config))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        self._run.log_image(as_rgb(image), name=name, step=step)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number."""
        self.add_scalars({name: value}, step, **kwargs)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes each number, with the epoch where that is what the step counts."""
        at = scalar_dict.get("step", step)
        epoch = at if kwargs.get("axis") == "epoch" else None
        for name, value in numbers(scalar_dict, kwargs.get("mode")).items():
            self._run.log_metric(name, value, step=at, epoch=epoch)

    def close(self) -> None:
        """Writes what waits and ends the experiment."""
        if self._env_initialized:
            self._run.end()
