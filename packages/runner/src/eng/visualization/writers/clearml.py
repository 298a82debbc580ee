"""ClearML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import artifacts
from ._tracker import TrackerVisBackend

__all__ = ["ClearMLVisBackend"]


@VISBACKENDS.register_module()
class ClearMLVisBackend(TrackerVisBackend):
    """Writes to ClearML.

    Args:
        save_dir: folder of the run's files, whose artifacts are uploaded at the end.
        init_kwargs: of ``clearml.Task.init``: project_name, task_name …
        artifact_suffix: endings of the files that are uploaded.
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
        task = clearml.Task.current_task()
        self._task = task if task is not None else clearml.Task.init(**self._init_kwargs)
        self._logger = self._task.get_logger()

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ClearML task."""
        return self._task

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as the task's configuration."""
        self._task.connect_configuration(dict(config.to_dict() if hasattr(config, "to_dict") else config))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        self._logger.report_image(title=name, series=name, iteration=step, image=as_rgb(image))

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._logger.report_scalar(title=name, series=name, value=value, iteration=step)

    def _finish(self) -> None:
        for path in artifacts(self._save_dir, self._artifact_suffix) if self._save_dir else ():
            self._task.upload_artifact(path.name, artifact_object=str(path))
        self._task.close()
