"""CometVisBackend: writes to Comet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import config_dict, flat
from ._tracker import TrackerVisBackend

__all__ = ["CometVisBackend"]


@VISBACKENDS.register_module()
class CometVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to the experiment tracker Comet.

    Args:
        save_dir: folder of the run's files; archives of offline runs are written to its subfolder ``comet``.
        offline: whether to write all data to this machine, to be uploaded later with ``comet upload`` (True, the
            default), or to Comet's server (False).
        init_kwargs: keyword arguments of ``comet_ml.Experiment`` or ``comet_ml.OfflineExperiment``, such as project_name,
            workspace and api_key.
    """

    in_background = True

    def __init__(self, save_dir: str, offline: bool = True, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir)
        self._offline = offline
        # By default Comet sends source code and metrics of other libraries, which the user did not ask for. So both are
        # turned off here.
        quiet = {
            "log_code": False,
            "auto_metric_logging": False,
            "auto_param_logging": False,
            "display_summary_level": 0,
        }
        folder = {}
        if offline:
            folder["offline_directory"] = str(Path(save_dir) / "comet")
        self._init_kwargs = {**quiet, **folder, **(init_kwargs or {})}

    def _init_env(self) -> None:
        comet = optional_module("comet_ml", type(self).__name__)
        if self._offline:
            self._run = comet.OfflineExperiment(**self._init_kwargs)
        else:
            self._run = comet.Experiment(**self._init_kwargs)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ``comet_ml`` experiment."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as parameters of the experiment, with dotted keys."""
        self._run.log_parameters(flat(config_dict(config)))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to Comet; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._run.log_image(as_rgb(image), name=name, step=step)

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        epoch = None
        if position.get("axis") == "epoch":
            epoch = step
        for name, value in values.items():
            self._run.log_metric(name, value, step=step, epoch=epoch)

    def _finish(self) -> None:
        self._run.end()
