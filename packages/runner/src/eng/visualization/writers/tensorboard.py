"""TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.registry import VISBACKENDS

from .._base import BaseVisBackend, force_init_env, plain_number

__all__ = ["TensorboardVisBackend"]


@VISBACKENDS.register_module()
class TensorboardVisBackend(BaseVisBackend):
    """Writes event files for TensorBoard.

    Args:
        save_dir: folder of the event files.

    Raises:
        ModuleNotFoundError: at the first write, where tensorboard is not installed.
    """

    in_background = False  # its own writer has a queue and a thread

    def _init_env(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "TensorboardVisBackend needs tensorboard; pip install eng-runner[tensorboard]"
            ) from error
        self._tensorboard = SummaryWriter(self._save_dir)

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The SummaryWriter."""
        return self._tensorboard

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config as text."""
        self._tensorboard.add_text("config", config.pretty_text)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        layout = "HWC" if np.ndim(image) == 3 else "HW"
        self._tensorboard.add_image(name, image, step, dataformats=layout)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number; what is none is left out with a warning."""
        number = plain_number(name, value)
        if number is not None:
            self._tensorboard.add_scalar(name, number, step)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes each number as a curve of its own; ``step`` among them overrides `step`.

        Raises:
            TypeError: `scalar_dict` is not a mapping.
        """
        if not isinstance(scalar_dict, Mapping):
            raise TypeError(f"add_scalars takes a mapping of names to numbers, not {type(scalar_dict).__name__}")
        step = scalar_dict.get("step", step)
        for name, value in scalar_dict.items():
            if name != "step":
                self.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes the event file."""
        if self._env_initialized:
            self._tensorboard.close()
