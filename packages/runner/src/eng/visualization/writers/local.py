"""Plain files: scalars as JSON lines, images as PNG, the config as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.registry import VISBACKENDS
from eng.visualization._base import BaseVisBackend, force_init_env
from eng.visualization.curves.lines import POSITION_KEYS, Line

__all__ = ["LocalVisBackend"]


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    r"""Writes to files in a folder.

    Args:
        save_dir: the folder.
        img_save_dir: folder in it for images.
        config_save_file: file in it for the config; ends in ``.py``.
        scalar_save_file: file in it for scalars; ends in ``.json``. Each line is one JSON object.

    Raises:
        ValueError: a file has another ending.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> LocalVisBackend(folder).add_scalar("loss", 0.5, step=3)
        >>> open(f"{folder}/scalars.json").read()
        '{"loss": 0.5, "step": 3}\n'
    """

    in_background = False  # the record that everything else can be restored from is written at once

    def __init__(
        self,
        save_dir: str,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        if not config_save_file.endswith(".py"):
            raise ValueError(f"config_save_file must end in .py, not {config_save_file!r}")
        if not scalar_save_file.endswith(".json"):
            raise ValueError(f"scalar_save_file must end in .json, not {scalar_save_file!r}")
        super().__init__(save_dir)
        folder = Path(save_dir)
        self._img_save_dir = folder / img_save_dir
        self._config_save_file = folder / config_save_file
        self._scalar_save_file = folder / scalar_save_file
        self._files: dict[str | None, list[Path]] = {None: [self._scalar_save_file]}

    def _init_env(self) -> None:
        Path(self._save_dir).mkdir(parents=True, exist_ok=True)

    @property
    def scalar_file(self) -> Path:
        """The file with the JSON lines."""
        return self._scalar_save_file

    @property
    @force_init_env
    def experiment(self) -> LocalVisBackend:
        """This object: files need no library."""
        return self

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config by its own ``dump``."""
        config.dump(str(self._config_save_file))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes ``{name}_{step}.png``; arguments as in :meth:`BaseVisBackend.add_image`."""
        from PIL import Image

        target = self._img_save_dir / f"{name}_{step}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(target)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Appends a line with the number and its step."""
        _append(_text({name: value, "step": step, **_position(kwargs)}), self._scalar_save_file)

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Appends a line with all numbers and their step; a second one to `file_path`, if given.

        Raises:
            TypeError: `scalar_dict` is not a mapping.
            ValueError: `file_path` does not end in ``.json`` or is the file of the scalars itself.
        """
        if type(scalar_dict) is not dict and not isinstance(scalar_dict, Mapping):
            raise TypeError(f"add_scalars takes a mapping of names to numbers, not {type(scalar_dict).__name__}")
        line = {**scalar_dict, "step": scalar_dict.get("step", step), **_position(kwargs)}
        text = _text(line)
        for path in self._files_of(file_path):
            _append(text, path)

    @force_init_env
    def replay(self, lines: Sequence[Line], file_path: str | None = None) -> None:
        """Makes `lines` all that the files hold; see :meth:`BaseVisBackend.replay`. A kill leaves the old files or the new."""
        for path in self._files_of(file_path):
            # Lines of a log come with an axis and go to both files; what others write goes to the main one.
            chosen = [line for line in lines if path == self._scalar_save_file or line.axis is not None]
            aside = path.with_name(f"{path.name}.tmp")
            aside.write_text("".join(_text(line.as_dict()) for line in chosen))
            aside.replace(path)

    def _files_of(self, file_path: str | None) -> list[Path]:
        if file_path not in self._files:
            extra = Path(self._save_dir) / str(file_path)
            if extra.suffix != ".json" or extra == self._scalar_save_file:
                raise ValueError(f"file_path must end in .json and differ from scalar_save_file; got {file_path!r}")
            self._files[file_path] = [extra, self._scalar_save_file]
        return self._files[file_path]


def _append(text: str, path: Path) -> None:
    """Adds to a file; Python's layers above these calls would take several times as long."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        rest = text.encode()
        while rest:  # a file system that is nearly full takes a part, and then raises
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)


def _text(line: Mapping[str, Any]) -> str:
    return _ENCODER.encode(line) + "\n"


def _position(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Where a line belongs; the curves of a run that goes on are cut by it."""
    return {key: kwargs[key] for key in POSITION_KEYS if key in kwargs}


def _as_json(value: Any) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.tolist()
    return str(value)


_ENCODER = json.JSONEncoder(default=_as_json)
