"""LocalVisBackend: writes scalars as JSON lines, images as PNG files and the config as a Python file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from eng.fileio import atomic_write
from eng.logging.errors import UsageError
from eng.logging.optional import optional_module
from eng.registry import VISBACKENDS
from eng.visualization._base import BaseVisBackend, force_init_env
from eng.visualization.curves.lines import POSITION_KEYS, Line
from eng.visualization.curves.starts import note_start
from eng.visualization.images import as_rgb

from ._line_file import LineFile

__all__ = ["LocalVisBackend"]

_LOGGER = logging.getLogger(__name__)


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    r"""Writes scalars, images and the config to files in a folder.

    Args:
        save_dir: the folder.
        img_save_dir: name of the subfolder for images.
        config_save_file: name of the config's file, which must end in ``.py``.
        scalar_save_file: name of the file for scalars, which must end in ``.json``. Each line is one JSON object.

    Raises:
        ValueError: a file name has another suffix.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> LocalVisBackend(folder).add_scalar("loss", 0.5, step=3)
        >>> open(f"{folder}/scalars.json", encoding="utf-8").read()
        '{"loss": 0.5, "step": 3}\n'
    """

    # This tracker is called in the training thread, so its lines are in the file before the call returns. The command
    # `eng sync` can write them to other trackers later.
    in_background = False

    def __init__(
        self,
        save_dir: str,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        if not config_save_file.endswith(".py"):
            raise UsageError(f"config_save_file must end in .py, not {config_save_file!r}")
        if not scalar_save_file.endswith(".json"):
            raise UsageError(f"scalar_save_file must end in .json, not {scalar_save_file!r}")
        super().__init__(save_dir)
        folder = Path(save_dir)
        self._img_save_dir = folder / img_save_dir
        self._config_save_file = folder / config_save_file
        self._scalar_save_file = folder / scalar_save_file
        self._scalars = LineFile(self._scalar_save_file)
        self._files: dict[str | None, list[LineFile]] = {None: [self._scalars]}

    def _init_env(self) -> None:
        with _log_failure("the folder of this run's curves is not made yet"):
            Path(self._save_dir).mkdir(parents=True, exist_ok=True)
            note_start(Path(self._save_dir))

    @property
    def scalar_file(self) -> Path:
        """Path of the JSON lines file to which the scalars are written."""
        return self._scalar_save_file

    @property
    @force_init_env
    def experiment(self) -> LocalVisBackend:
        """This object itself, because no library is used."""
        return self

    @force_init_env
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Writes the config to the file ``config_save_file``, by the method ``dump`` of the config."""
        with _log_failure("the config is not written"):
            config.dump(str(self._config_save_file))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes an image to ``{name}_{step}.png``; see :meth:`BaseVisBackend.add_image` for the arguments.

        A ``/`` in the name creates subfolders of ``img_save_dir``. Names often come from file paths of a dataset, so a
        leading ``/`` and every ``..`` are removed, and no file is written outside of ``img_save_dir``.
        """
        pillow = optional_module("PIL.Image", "LocalVisBackend.add_image", "pillow")
        target = self._img_save_dir.joinpath(*_parts_below(f"{name}_{step}.png"))
        picture = pillow.fromarray(as_rgb(image))
        with _log_failure(f"the image {name!r} is not written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Appends a JSON line with the scalar and its step to the file of scalars.

        The keyword arguments ``axis``, ``iteration`` and ``mode`` are written into the line too; others are ignored.
        """
        self._scalars.append(_text({name: value, "step": step, **_position(kwargs)}))

    @force_init_env
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Appends a JSON line with the scalars and their step to the file of scalars, and to ``file_path`` if given.

        The keyword arguments ``axis``, ``iteration`` and ``mode`` are written into the line too; others are ignored.

        Raises:
            TypeError: ``scalar_dict`` is not a mapping.
            ValueError: ``file_path`` does not end in ``.json``, or is the main file of the scalars.
        """
        if type(scalar_dict) is not dict and not isinstance(scalar_dict, Mapping):
            raise TypeError(f"add_scalars takes a mapping of names to numbers, not {type(scalar_dict).__name__}")
        line = {**scalar_dict, "step": scalar_dict.get("step", step), **_position(kwargs)}
        text = _text(line)
        for file in self._files_of(file_path):
            file.append(text)

    @force_init_env
    def replay(self, lines: Iterable[Line], file_path: str | None = None) -> None:
        """Replaces the content of the files of scalars by the earlier scalars of a resumed run, atomically.

        For the arguments see :meth:`BaseVisBackend.replay`.
        """
        for file in self._files_of(file_path):
            file.forget()
            with _log_failure(f"earlier curves are not copied to {file.path}"):
                # Lines of the LoggerHook have an axis and are written to both files. Lines that other code has written
                # have no axis, and are only in the main file of scalars.
                self._write_anew(file.path, (line for line in lines if file is self._scalars or line.axis is not None))

    def _write_anew(self, path: Path, lines: Iterable[Line]) -> None:
        with atomic_write(path, "w", sync=False) as file:
            file.writelines(_text(line.as_dict()) for line in lines)

    def close(self) -> None:
        """Tries a last time to write the lines that could not be written, for example because the disk was full."""
        for files in self._files.values():
            for file in files:
                file.close()

    def _files_of(self, file_path: str | None) -> list[LineFile]:
        if file_path not in self._files:
            extra = Path(self._save_dir) / str(file_path)
            if extra.suffix != ".json" or extra == self._scalar_save_file:
                raise UsageError(f"file_path must end in .json and differ from scalar_save_file; got {file_path!r}")
            self._files[file_path] = [LineFile(extra), self._scalars]
        return self._files[file_path]


def _parts_below(name: str) -> list[str]:
    """Splits a path into its parts, without the root and without ``..``.

    If the parts are joined to a folder, the result is below the folder.
    """
    path = PurePath(name)
    return [part for part in path.parts if part not in (path.anchor, "..")]


@contextmanager
def _log_failure(consequence: str) -> Iterator[None]:
    """Logs an OSError or TypeError that is raised in the ``with`` block, instead of raising it further.

    A run must not end because its logs cannot be written.

    Args:
        consequence: what the error means for the user; beginning of the logged message.
    """
    try:
        yield
    except (OSError, TypeError) as error:
        _LOGGER.warning("%s: %s", consequence, error)


def _text(line: Mapping[str, Any]) -> str:
    return _ENCODER.encode(line) + "\n"


def _position(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those keywords that give the position of scalars in the run: ``axis``, ``iteration`` and ``mode``.

    A resumed run decides by this position which of the earlier lines it keeps.
    """
    return {key: kwargs[key] for key in POSITION_KEYS if key in kwargs}


def _as_json(value: Any) -> Any:
    """Converts a value that JSON cannot represent: tensors and arrays to numbers or lists, other objects to text."""
    if not isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return str(value)
    if np.prod(tuple(value.shape)) == 1:
        return value.item()
    return value.tolist()


_ENCODER = json.JSONEncoder(default=_as_json)
