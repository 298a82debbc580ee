"""MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.curves.lines import Line
from eng.visualization.images import as_rgb

from ._library import artifacts, flat, numbers
from ._tracker import TrackerVisBackend

__all__ = ["MLflowVisBackend"]

# What MLflow's server accepts: characters of a parameter, and parameters and metrics in one call.
_MAX_PARAM_LENGTH, _MAX_PARAMS, _MAX_METRICS = 6000, 100, 1000


@VISBACKENDS.register_module()
class MLflowVisBackend(TrackerVisBackend):
    """Writes to MLflow, through its client: the process's own active run is left alone.

    Args:
        save_dir: folder of the run's files, whose artifacts are uploaded at the end.
        exp_name: experiment, ``"Default"`` by default.
        run_name: name of the run.
        tags: of the run.
        params: further parameters of the run.
        tracking_uri: of the server; MLFLOW_TRACKING_URI, or a SQLite file in `save_dir`, by default.
        artifact_suffix: endings of the files that are uploaded at the end.
        tracked_config_keys: only these parts of the config become parameters; all of it by default.
        artifact_location: where a new experiment keeps its artifacts.
    """

    in_background = True

    def __init__(
        self,
        save_dir: str,
        exp_name: str | None = None,
        run_name: str | None = None,
        tags: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        tracking_uri: str | None = None,
        artifact_suffix: Sequence[str] | str = (".json", ".log", ".py", "yaml"),
        tracked_config_keys: dict[str, Any] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._exp_name = exp_name or "Default"
        self._run_name = run_name
        self._tags = {key: str(value) for key, value in (tags or {}).items()}
        self._params = params or {}
        self._tracking_uri = tracking_uri
        self._artifact_suffix = artifact_suffix
        self._tracked_config_keys = tracked_config_keys
        self._artifact_location = artifact_location

    def _init_env(self) -> None:
        """Starts a run on the tracking server; without one, in a SQLite file of the folder."""
        optional_module("mlflow", type(self).__name__)
        from mlflow.tracking import MlflowClient

        folder = Path(self._save_dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        local = f"sqlite:///{folder / 'mlflow.db'}"
        uri = self._tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local
        artifact_location = self._artifact_location or (f"file://{folder / 'mlartifacts'}" if uri == local else None)
        self._client = MlflowClient(uri)
        known = self._client.get_experiment_by_name(self._exp_name)
        experiment = known.experiment_id if known else self._client.create_experiment(self._exp_name, artifact_location)
        self._run = self._client.create_run(experiment, tags=self._tags, run_name=self._run_name)
        self._log_params(self._params)
        self._opened_ms = int(time.time() * 1000)
        self._told: set[str] = set()

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The `MlflowClient`; ``run_id`` names the run in it."""
        return self._client

    @property
    @force_init_env
    def run_id(self) -> str:
        """The run's id on the server."""
        return str(self._run.info.run_id)

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config, or its tracked keys, as parameters; long values are cut where the server would refuse them."""
        content = dict(config.to_dict() if hasattr(config, "to_dict") else config)
        leaves = flat(content)
        if self._tracked_config_keys is not None:
            chosen = tuple(self._tracked_config_keys)
            leaves = {
                key: value
                for key, value in leaves.items()
                if key in chosen or key.startswith(tuple(f"{c}." for c in chosen))
            }
        self._log_params(leaves)

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        waiting = iter([Param(key, str(value)[:_MAX_PARAM_LENGTH]) for key, value in params.items()])
        while some := list(islice(waiting, _MAX_PARAMS)):
            self._client.log_batch(self.run_id, params=some)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        self._client.log_image(self.run_id, as_rgb(image), artifact_file=f"{name}_{step}.png")

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        self._log_points([(values, step, position.get("axis"))], int(time.time() * 1000))

    @force_init_env
    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the curves again, in few calls; see :meth:`BaseVisBackend.replay`.

        The time stamp is the same at a second try: the server keeps a point once that came twice.
        """
        waiting = iter(lines)
        while some := list(islice(waiting, _MAX_METRICS)):
            points = [(numbers(line.values, line.mode), line.step, line.axis) for line in some]
            self._log_points(points, self._opened_ms)

    def _log_points(self, points: Sequence[tuple[dict[str, float | int], int, str | None]], at_ms: int) -> None:
        """Logs the numbers of steps, each with the axis that the step counts on, in one call where they are few."""
        from mlflow.entities import Metric, RunTag

        over_epochs = {name for values, _, axis in points if axis == "epoch" for name in values} - self._told
        if over_epochs:  # steps are plain numbers to MLflow; a tag says what they count
            tags = [RunTag(f"axis.{name}", "epoch") for name in sorted(over_epochs)]
            self._client.log_batch(self.run_id, tags=tags[:_MAX_PARAMS])
            self._told |= over_epochs
        metrics = (
            Metric(name, float(value), at_ms, int(step)) for values, step, _ in points for name, value in values.items()
        )
        while some := list(islice(metrics, _MAX_METRICS)):
            self._client.log_batch(self.run_id, metrics=some)

    def _finish(self) -> None:
        for path in artifacts(self._save_dir, self._artifact_suffix):
            self._client.log_artifact(self.run_id, str(path))
        self._client.set_terminated(self.run_id)
