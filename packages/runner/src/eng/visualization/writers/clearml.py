"""ClearMLVisBackend: writes to ClearML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import artifacts, config_dict
from ._tracker import TrackerVisBackend

__all__ = ["ClearMLVisBackend"]


@VISBACKENDS.register_module()
class ClearMLVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to the current task of ClearML, or to a new task if there is none.

    Args:
        save_dir: folder of the run's files. Files that end in one of ``artifact_suffix`` are uploaded at the end.
        init_kwargs: keyword arguments of ``clearml.Task.init``, such as project_name and task_name.
        artifact_suffix: suffixes of the files that are uploaded.
    """

    in_background = True

    def __init__(
        self,
        save_dir: str | None = None,
        init_kwargs: dict[str, Any] | None = None,
        artifact_suffix: Sequence[str] | str = (".py", ".pth"),
    ) -> None:
        super().__init__(save_dir or "")
        self._init_kwargs = init_kwargs or {}
        self._artifact_suffix = artifact_suffix

    def _init_env(self) -> None:
        clearml = optional_module("clearml", type(self).__name__)
        self._task = clearml.Task.current_task()
        if self._task is None:
            self._task = clearml.Task.init(**self._init_kwargs)
        self._logger = self._task.get_logger()

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ClearML task."""
        return self._task

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as the configuration of the task."""
        self._task.connect_configuration(config_dict(config))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to the ClearML task; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._logger.report_image(title=name, series=name, iteration=step, image=as_rgb(image))

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._logger.report_scalar(title=name, series=name, value=value, iteration=step)

    def _finish(self) -> None:
        if self._save_dir:
            for path in artifacts(self._save_dir, self._artifact_suffix):
                self._task.upload_artifact(path.name, artifact_object=str(path))
        self._task.close()
