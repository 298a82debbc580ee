"""DVCLiveVisBackend: writes DVCLive's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import artifacts, config_dict, plain_value
from ._tracker import TrackerVisBackend

__all__ = ["DVCLiveVisBackend"]


@VISBACKENDS.register_module()
class DVCLiveVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run as files of DVCLive.

    If the working directory belongs to a Git repository without DVC, DVCLive initializes DVC in it.

    Args:
        save_dir: folder of the run's files; DVCLive's files and its ``dvc.yaml`` are written to its subfolder ``dvclive``.
        artifact_suffix: suffixes of the files that are logged as artifacts at the end.
        init_kwargs: keyword arguments of ``dvclive.Live``.
    """

    in_background = True

    def __init__(
        self,
        save_dir: str,
        artifact_suffix: Sequence[str] | str = (".json", ".py", "yaml"),
        init_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._artifact_suffix = artifact_suffix
        self._init_kwargs = init_kwargs or {}

    def _init_env(self) -> None:
        dvclive = optional_module("dvclive", type(self).__name__)
        folder = Path(self._save_dir) / "dvclive"
        folder.mkdir(parents=True, exist_ok=True)
        defaults = {"dir": str(folder), "dvcyaml": str(folder / "dvc.yaml"), "save_dvc_exp": False}
        self._live = dvclive.Live(**{**defaults, **self._init_kwargs})

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ``dvclive.Live`` object."""
        return self._live

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Logs the config as DVCLive's parameters."""
        self._live.log_params(_plain(config_dict(config)))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to a file of DVCLive; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._live.step = step
        self._live.log_image(f"{name}.png", as_rgb(image))

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)

    def _finish(self) -> None:
        for path in artifacts(self._save_dir, self._artifact_suffix):
            self._live.log_artifact(str(path))
        self._live.end()


def _plain(value: Any) -> Any:
    """Converts a nested config to dicts, lists and values that YAML can represent."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return plain_value(value)
