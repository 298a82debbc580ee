"""From the JSON lines of a run to a tracker, afterwards."""

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
    """Writes the curves of a run, and its config, to a tracker.

    Unlike in a run, what the tracker raises is raised here.

    Args:
        work_dir: of the run, or the folder of one of its starts; the newest start holds the curves of those before.
        target: one of :data:`TARGETS`.
        options: of the tracker's class; where the run's config has a tracker of this kind, it gives the others.
        config: of the run.

    Returns:
        The file that was read, and its lines.

    Raises:
        ValueError: another target.
        NoCurvesError: the run has no lines.
        ModuleNotFoundError: the tracker is not installed.
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
    """What the config of a run says about the tracker of a class; nothing where it has none."""
    visualizer = (config or {}).get("visualizer") or {}
    configs = [*((config or {}).get("vis_backends") or ()), *(visualizer.get("vis_backends") or ())]
    matches = [
        dict(backend_cfg)
        for backend_cfg in configs
        if str(backend_cfg.get("type", "")).rpartition(".")[2] == class_name
    ]
    return {key: value for key, value in matches[-1].items() if key not in ("type", "name")} if matches else {}
