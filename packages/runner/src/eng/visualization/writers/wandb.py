"""WandbVisBackend: writes to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.images import as_rgb

from ._library import config_dict
from ._tracker import TrackerVisBackend

__all__ = ["WandbVisBackend"]


@VISBACKENDS.register_module()
class WandbVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to Weights & Biases.

    Args:
        save_dir: folder of wandb's files.
        init_kwargs: keyword arguments of ``wandb.init``, such as project, name, id and mode (``"offline"`` writes all data
            to this machine).
        define_metric_cfg: summary of each metric, such as ``{"accuracy": "max"}``, or a list of keyword arguments of
            ``define_metric``.
        commit: argument of ``wandb.log`` for subclasses that call it. This class itself always commits.
        log_code_name: name under which to upload the code of the working directory; None (default) uploads none.
        watch_kwargs: keyword arguments of ``wandb.watch``, which ``add_graph`` calls.
    """

    in_background = True

    def __init__(
        self,
        save_dir: str,
        init_kwargs: dict[str, Any] | None = None,
        define_metric_cfg: dict[str, Any] | list[Any] | None = None,
        commit: bool | None = True,
        log_code_name: str | None = None,
        watch_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._init_kwargs = init_kwargs or {}
        self._commit = commit
        self._define_metric_cfg = define_metric_cfg or {}
        self._log_code_name = log_code_name
        self._watch_kwargs = watch_kwargs or {}

    def _init_env(self) -> None:
        """Creates a wandb run, and defines the x axes (iterations or epochs) of the run's curves."""
        wandb = optional_module("wandb", type(self).__name__)
        Path(self._save_dir).mkdir(parents=True, exist_ok=True)
        self._wandb = wandb
        self._run = wandb.init(**{"dir": self._save_dir, **self._init_kwargs})
        # wandb's own step must never decrease, so it cannot count iterations for some curves and epochs for others.
        # Curves over iterations and curves over epochs get separate x axes instead.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("iteration/*", hidden=True)
        self._run.define_metric("*", step_metric="step", step_sync=True)
        self._over_epochs: set[str] = set()
        # If the user resumes a wandb run by its id, the run already contains the points of the earlier launch, which
        # are not sent again.
        summary = {}
        if getattr(self._run, "resumed", False):
            summary = self._run.summary
        self._sent = {mode: summary.get(f"iteration/{mode}", -1) for mode in ("train", "val", "test")}
        for arguments in self._metric_definitions():
            self._run.define_metric(**arguments)

    def _metric_definitions(self) -> list[dict[str, Any]]:
        if isinstance(self._define_metric_cfg, Mapping):
            return [
                {"name": name, "summary": summary, "step_metric": "step"}
                for name, summary in self._define_metric_cfg.items()
            ]
        return [dict(arguments) for arguments in self._define_metric_cfg]

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The module ``wandb``, in which the run is active."""
        return self._wandb

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config into ``config`` of the wandb run, and uploads the code if ``log_code_name`` is set."""
        self._run.config.update(config_dict(config), allow_val_change=True)
        if self._log_code_name is not None:
            self._run.log_code(name=self._log_code_name)

    @force_init_env
    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Lets wandb record gradients and parameters of the model, with the options ``watch_kwargs``."""
        self._run.watch(model, **self._watch_kwargs)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to the wandb run; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._run.log({name: self._wandb.Image(as_rgb(image)), "step": step})

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        """Sends the scalars of one step to wandb, unless an earlier launch has sent them to the same wandb run."""
        mode, iteration, axis = position.get("mode"), position.get("iteration"), position.get("axis")
        if mode is not None and iteration is not None and iteration <= self._sent.get(mode, -1):
            return
        line: dict[str, Any] = dict(values)
        if axis == "epoch":
            for name in values.keys() - self._over_epochs:
                self._run.define_metric(name, step_metric="epoch")
                self._over_epochs.add(name)
            line["epoch"] = step
        if mode is not None and iteration is not None:
            line[f"iteration/{mode}"] = iteration
        self._run.log({**line, "step": step})

    def _finish(self) -> None:
        self._run.finish()
