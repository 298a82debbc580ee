"""TrackioVisBackend: writes to Trackio."""

from __future__ import annotations

from typing import Any

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS

from ._run import RunVisBackend

__all__ = ["TrackioVisBackend"]


@VISBACKENDS.register_module()
class TrackioVisBackend(RunVisBackend):
    """Writes the scalars, images and config of a run to the experiment tracker Trackio.

    Trackio stores them in a database on this machine, which ``trackio show`` displays, or in a Hugging Face Space.

    Args:
        save_dir: not used, because Trackio has its own folder (``TRACKIO_DIR``).
        init_kwargs: keyword arguments of ``trackio.init``, such as project (``"eng"`` by default), name, group and space_id.
    """

    in_background = True

    def __init__(self, save_dir: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir or "")
        self._init_kwargs = {"project": "eng", "embed": False, **(init_kwargs or {})}

    def _init_env(self) -> None:
        self._library = optional_module("trackio", type(self).__name__)
        self._run = self._library.init(**self._init_kwargs)
