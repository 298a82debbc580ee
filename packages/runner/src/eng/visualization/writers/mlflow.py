"""MLflowVisBackend: writes to MLflow."""

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

from ._library import artifacts, config_dict, flat, numbers
from ._tracker import TrackerVisBackend

__all__ = ["MLflowVisBackend"]

# Limits of MLflow's server: characters of a parameter's value, number of parameters per call, of metrics per call.
_MAX_PARAM_LENGTH, _MAX_PARAMS, _MAX_METRICS = 6000, 100, 1000


@VISBACKENDS.register_module()
class MLflowVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a training run to a new run of MLflow.

    The class uses ``MlflowClient``, so the active run that user code may have started with ``mlflow.start_run`` is not
    changed.

    Args:
        save_dir: folder of the run's files. Files that end in one of ``artifact_suffix`` are uploaded at the end.
        exp_name: name of the experiment. ``"Default"`` by default.
        run_name: name of the run.
        tags: tags of the run.
        params: additional parameters of the run.
        tracking_uri: address of the server. None (default) uses MLFLOW_TRACKING_URI, or a SQLite file in ``save_dir``.
        artifact_suffix: suffixes of the files that are uploaded at the end.
        tracked_config_keys: keys of the config that are written as parameters. None (default) writes the complete config.
        artifact_location: address at which a new experiment stores its artifacts.
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
        """Creates a run on the tracking server, or in a SQLite file in ``save_dir`` if there is no server."""
        optional_module("mlflow", type(self).__name__)
        from mlflow.tracking import MlflowClient

        folder = Path(self._save_dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        local = f"sqlite:///{folder / 'mlflow.db'}"
        uri = self._tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local
        artifact_location = self._artifact_location
        if not artifact_location and uri == local:
            artifact_location = f"file://{folder / 'mlartifacts'}"
        self._client = MlflowClient(uri)
        experiment = self._client.get_experiment_by_name(self._exp_name)
        if experiment:
            experiment_id = experiment.experiment_id
        else:
            experiment_id = self._client.create_experiment(self._exp_name, artifact_location)
        self._run = self._client.create_run(experiment_id, tags=self._tags, run_name=self._run_name)
        self._log_params(self._params)
        self._opened_ms = int(time.time() * 1000)
        self._tagged_names: set[str] = set()

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ``MlflowClient`` that this tracker uses; the run is identified by :attr:`run_id`."""
        return self._client

    @property
    @force_init_env
    def run_id(self) -> str:
        """The id of the run on MLflow's tracking server."""
        return str(self._run.info.run_id)

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config, or the keys of it in ``tracked_config_keys``, as parameters of the run.

        A value with more than 6000 characters, the limit of MLflow's server, is cut.
        """
        leaves = flat(config_dict(config))
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
        """Writes an image to the MLflow run; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._client.log_image(self.run_id, as_rgb(image), artifact_file=f"{name}_{step}.png")

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        self._log_points([(values, step, position.get("axis"))], int(time.time() * 1000))

    @force_init_env
    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the earlier scalars of a resumed run, with many steps per call of the server.

        If the method fails and is called again, it uses the same time stamp for the points, so that the server does not
        store them twice. For the arguments see :meth:`BaseVisBackend.replay`.
        """
        waiting = iter(lines)
        while some := list(islice(waiting, _MAX_METRICS)):
            points = [(numbers(line.values, line.mode), line.step, line.axis) for line in some]
            self._log_points(points, self._opened_ms)

    def _log_points(self, points: Sequence[tuple[dict[str, float | int], int, str | None]], at_ms: int) -> None:
        """Logs the scalars of several steps, in as few calls as the server's limit allows.

        Args:
            points: scalars, step and axis of each step.
            at_ms: time stamp of the points, in milliseconds since 1970.
        """
        from mlflow.entities import Metric, RunTag

        over_epochs = {name for values, _, axis in points if axis == "epoch" for name in values} - self._tagged_names
        if over_epochs:
            # Steps in MLflow have no unit. If the steps of a curve are epochs, a tag of the run says so.
            tags = [RunTag(f"axis.{name}", "epoch") for name in sorted(over_epochs)]
            self._client.log_batch(self.run_id, tags=tags[:_MAX_PARAMS])
            self._tagged_names |= over_epochs
        metrics = (
            Metric(name, float(value), at_ms, int(step)) for values, step, _ in points for name, value in values.items()
        )
        while some := list(islice(metrics, _MAX_METRICS)):
            self._client.log_batch(self.run_id, metrics=some)

    def _finish(self) -> None:
        for path in artifacts(self._save_dir, self._artifact_suffix):
            self._client.log_artifact(self.run_id, str(path))
        self._client.set_terminated(self.run_id)
