"""SwanLabVisBackend: writes to SwanLab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS

from ._run import RunVisBackend

__all__ = ["SwanLabVisBackend"]


@VISBACKENDS.register_module()
class SwanLabVisBackend(RunVisBackend):
    """Writes the scalars, images and config of a run to the experiment tracker SwanLab.

    Args:
        save_dir: folder of the run's files; SwanLab's files are written to its subfolder ``swanlab``.
        init_kwargs: keyword arguments of ``swanlab.init``, such as project, workspace and mode. The default mode here is
            ``"offline"``, which writes all data to this machine; ``"online"`` sends it to the server.
    """

    in_background = True

    def __init__(self, save_dir: str, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir)
        folder = {"log_dir": str(Path(save_dir) / "swanlab")}
        self._init_kwargs = {"mode": "offline", "project": "eng", **folder, **(init_kwargs or {})}

    def _init_env(self) -> None:
        self._library = optional_module("swanlab", type(self).__name__)
        Path(self._init_kwargs["log_dir"]).mkdir(parents=True, exist_ok=True)
        self._run = self._library.init(**self._init_kwargs)
