"""What trackers share whose library logs mappings to a run object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.visualization._base import BaseVisBackend, force_init_env
from eng.visualization.images import as_rgb

from ._library import flat, numbers, plain_value


class RunVisBackend(BaseVisBackend):
    """Writes to a run with ``config``, ``log`` and ``finish``; a subclass begins the run in ``_init_env``.

    Attributes:
        _library: the tracker's module, which has ``Image``.
        _run: what its ``init`` gave.
    """

    in_background = True
    _library: Any
    _run: Any

    @property
    @force_init_env
    def experiment(self) -> Any:
        """The tracker's run."""
        return self._run

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config, by dotted key, as the run's."""
        plain = flat(config.to_dict() if hasattr(config, "to_dict") else config)
        self._run.config.update({key: plain_value(value) for key, value in plain.items()})

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image; arguments as in :meth:`BaseVisBackend.add_image`."""
        self._run.log({name: self._library.Image(as_rgb(image))}, step=step)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Writes a number."""
        self.add_scalars({name: value}, step, **kwargs)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Writes the numbers of one step."""
        self._run.log(numbers(scalar_dict, kwargs.get("mode")), step=scalar_dict.get("step", step))

    def close(self) -> None:
        """Writes what waits and ends the run."""
        if self._env_initialized:
            self._run.finish()
