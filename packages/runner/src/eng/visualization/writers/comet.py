"""Comet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import flat
from ._tracker import TrackerVisBackend

__all__ = ["CometVisBackend"]


@VISBACKENDS.register_module()
class CometVisBackend(TrackerVisBackend):
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
        comet = optional_module("comet_ml", type(self).__name__)
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

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        epoch = step if position.get("axis") == "epoch" else None
        for name, value in values.items():
            self._run.log_metric(name, value, step=step, epoch=epoch)

    def _finish(self) -> None:
        self._run.end()
