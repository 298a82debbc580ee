"""TensorboardVisBackend: writes event files for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import force_init_env
from eng.visualization.curves.lines import Line
from eng.visualization.images import as_rgb

from ._tracker import TrackerVisBackend

__all__ = ["TensorboardVisBackend"]


@VISBACKENDS.register_module()
class TensorboardVisBackend(TrackerVisBackend):
    """Writes the scalars, images and config of a run to event files, which TensorBoard shows.

    Args:
        save_dir: folder of the event files.

    Raises:
        ModuleNotFoundError: tensorboard is not installed; raised at the first write.
    """

    in_background = True

    def _init_env(self) -> None:
        optional_module("tensorboard", type(self).__name__)
        from torch.utils.tensorboard import SummaryWriter

        self._earlier = list(Path(self._save_dir).glob("*tfevents*"))
        self._marked_names: set[str] = set()
        self._tensorboard = SummaryWriter(self._save_dir)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The ``torch.utils.tensorboard.SummaryWriter``."""
        return self._tensorboard

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as a text to the event file."""
        self._tensorboard.add_text("config", config.pretty_text)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to the event file; see :meth:`BaseVisBackend.add_image` for the arguments."""
        self._tensorboard.add_image(name, as_rgb(image), step, dataformats="HWC")

    def _log_numbers(self, values: dict[str, float | int], step: int, position: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if position.get("axis") == "epoch" and name not in self._marked_names:
                # Steps in event files have no unit. If the steps of a curve are epochs, a text in the event file says so.
                self._tensorboard.add_text(f"axis/{name}", "epoch")
                self._marked_names.add(name)
            self._tensorboard.add_scalar(name, value, step)

    @force_init_env
    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Writes the earlier scalars of a resumed run; see :meth:`BaseVisBackend.replay`.

        If an earlier launch has written event files into the same folder, they are renamed so that TensorBoard does not
        read them: they contain points after the checkpoint, which cannot be removed from an event file.
        """
        for path in self._earlier:
            path.rename(path.with_name(path.name.replace("tfevents", "superseded")))
        self._earlier = []
        super().replay(lines)

    def _finish(self) -> None:
        self._tensorboard.close()
