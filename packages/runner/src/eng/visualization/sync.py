"""sync_run: writes the scalars of a finished run from its JSON lines to a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eng.registry import VISBACKENDS

from ._base import BaseVisBackend
from .curves import Lines, find_scalars, read_lines

__all__ = ["TARGETS", "sync_run"]

TARGETS = {
    "mlflow": "MLflowVisBackend",
    "tensorboard": "TensorboardVisBackend",
    "wandb": "WandbVisBackend",
    "aim": "AimVisBackend",
    "clearml": "ClearMLVisBackend",
    "dvclive": "DVCLiveVisBackend",
    "neptune": "NeptuneVisBackend",
    "comet": "CometVisBackend",
    "swanlab": "SwanLabVisBackend",
    "trackio": "TrackioVisBackend",
}


def sync_run(
    work_dir: str | Path, target: str, options: Mapping[str, Any] | None = None, config: Any = None
) -> tuple[Path, Lines]:
    """Writes the scalars and the config of a finished run to an experiment tracker; errors of the tracker are raised.

    Args:
        work_dir: work directory of the run, or the timestamped subfolder of one of its launches. For a work directory
            the scalars of the newest launch are read, which include those of the earlier launches.
        target: name of the tracker, one of :data:`TARGETS`.
        options: arguments of the tracker's class. They take precedence over the settings of the same tracker in ``config``.
        config: config of the run.

    Returns:
        The file that was read, and its lines.

    Raises:
        ValueError: ``target`` is unknown.
        NoCurvesError: the run has no JSON lines.
        ModuleNotFoundError: the tracker's library is not installed.
    """
    if target not in TARGETS:
        raise ValueError(f"no tracker is called {target!r}; there are {', '.join(TARGETS)}")
    path = find_scalars(work_dir)
    lines = read_lines(path)
    settings = {**settings_in(config, TARGETS[target]), **(options or {})}
    backend: BaseVisBackend = VISBACKENDS.build(
        {"save_dir": str(path.parent), **settings, "type": f"eng.{TARGETS[target]}"}
    )
    if config is not None:
        backend.add_config(config)
    backend.replay(lines)
    backend.close()
    return path, lines


def settings_in(config: Any, class_name: str) -> dict[str, Any]:
    """Returns the arguments of a tracker's class in the config of a run; empty if the config does not use the class."""
    visualizer = (config or {}).get("visualizer") or {}
    configs = [*((config or {}).get("vis_backends") or ()), *(visualizer.get("vis_backends") or ())]
    matches = [
        dict(backend_cfg)
        for backend_cfg in configs
        if str(backend_cfg.get("type", "")).rpartition(".")[2] == class_name
    ]
    if not matches:
        return {}
    return {key: value for key, value in matches[-1].items() if key not in ("type", "name")}
