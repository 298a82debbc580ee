"""Datasets for simple formats: folders of images, CSV tables, JSON lines and text files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eng.registry import DATASETS

from .base_dataset import BaseDataset
from .errors import AnnotationError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")


class ImageFolderDataset(BaseDataset):
    """Images in one folder per class: ``root/cat/1.png`` is a sample ``dict(img_path="root/cat/1.png", label=0)``.

    The classes are the names of the folders in alphabetical order, or ``metainfo=dict(classes=[...])``. An image in a
    subfolder of a class folder belongs to that class. Names that start with a dot, such as ``.ipynb_checkpoints``
    and ``._1.jpg``, are left out.

    Args:
        root: path of the folder.
        suffixes: endings of image files, in lower case.
        **kwargs: further arguments of :class:`BaseDataset`, such as ``pipeline``.

    Raises:
        AnnotationError: there is no class folder, or no image in the class folders.
    """

    def __init__(self, root: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, **kwargs: Any) -> None:
        self.root = Path(root).expanduser()
        self.suffixes = tuple(suffixes)
        metainfo = dict(kwargs.pop("metainfo", None) or {})
        if "classes" not in metainfo:
            metainfo["classes"] = tuple(sorted(path.name for path in _folders(self.root)))
        super().__init__(metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Returns one annotation per image, ordered by class and path."""
        classes = self.metainfo["classes"]
        samples: list[dict[str, Any]] = []
        for label, name in enumerate(classes):
            folder = self.root / name
            paths = [path for path in sorted(folder.rglob("*")) if not _is_hidden(path.relative_to(folder))]
            images = [path for path in paths if path.suffix.lower() in self.suffixes]
            samples += [{"img_path": str(path), "label": label} for path in images]
        if not samples:
            raise AnnotationError(
                f"{self.root} holds no image in a folder per class (classes: {', '.join(classes) or 'none'}; endings: "
                f"{', '.join(self.suffixes)}): put images in {self.root}/<class>/"
            )
        return samples


def _folders(root: Path) -> list[Path]:
    """Returns the class folders in `root`, without hidden folders, which file managers and Jupyter create."""
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not _is_hidden(path.relative_to(root))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


class _FileDataset(BaseDataset):
    def __init__(self, ann_file: str | Path, **kwargs: Any) -> None:
        super().__init__(ann_file=str(Path(ann_file).expanduser()), **kwargs)


class CsvDataset(_FileDataset):
    """A CSV table: each row is a sample, a dict with the column names of the first row as keys.

    Args:
        ann_file: path of the file.
        dtypes: type of each column, such as ``dict(age="float", label="int")``; other columns are text.
        delimiter: character between two columns.
        **kwargs: further arguments of :class:`BaseDataset`, such as ``data_root`` and ``pipeline``.

    Raises:
        AnnotationError: a column is missing, or a value cannot be converted to its type; the message names line and
            column.
    """

    def __init__(
        self, ann_file: str | Path, dtypes: Mapping[str, str] | None = None, delimiter: str = ",", **kwargs: Any
    ) -> None:
        self.dtypes = dict(dtypes or {})
        self.delimiter = delimiter
        unknown = sorted(set(self.dtypes.values()) - _TYPES.keys())
        if unknown:
            raise AnnotationError(f"CsvDataset's dtypes are {', '.join(_TYPES)}, not {', '.join(unknown)}")
        super().__init__(ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Reads the table, and returns one annotation per row."""
        with Path(str(self.ann_file)).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter=self.delimiter)
            missing = sorted(set(self.dtypes) - set(reader.fieldnames or ()))
            if missing:
                columns = ", ".join(reader.fieldnames or ()) or "none"
                raise AnnotationError(f"{self.ann_file} has no column {', '.join(missing)}; it has {columns}")
            return [self._sample(row, reader.line_num) for row in reader]

    def _sample(self, row: dict[str, Any], line: int) -> dict[str, Any]:
        """Returns a sample: the row of the table with the values converted to the types of their columns.

        Args:
            row: the values of the row as text, by column name.
            line: number of the row's line in the file, for error messages.

        Raises:
            AnnotationError: the row has another number of columns than the first line, or a value cannot be converted.
        """
        if None in row or None in row.values():
            raise AnnotationError(f"{self.ann_file}:{line} has another number of columns than the first line")
        for column, name in self.dtypes.items():
            try:
                row[column] = _TYPES[name](row[column])
            except ValueError as error:
                raise AnnotationError(
                    f"{self.ann_file}:{line} {column}: expected {name}, got {row[column]!r}"
                ) from error
        return row


_TYPES = {"float": float, "int": int, "str": str}


class JsonLinesDataset(_FileDataset):
    """A JSON Lines file: each line is a JSON object and gives one sample; empty lines are skipped.

    Args:
        ann_file: path of the file.
        **kwargs: further arguments of :class:`BaseDataset`, such as ``data_root`` and ``pipeline``.

    Raises:
        AnnotationError: a line is no JSON object; the message names file and line.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Returns one annotation per line."""
        with Path(str(self.ann_file)).open(encoding="utf-8") as file:
            return [self._sample(line, number) for number, line in enumerate(file, 1) if line.strip()]

    def _sample(self, line: str, number: int) -> dict[str, Any]:
        """Parses a line of the file.

        Args:
            line: the text of the line.
            number: number of the line, from 1, for error messages.

        Raises:
            AnnotationError: the line is no JSON object.
        """
        try:
            sample = json.loads(line)
        except json.JSONDecodeError as error:
            raise AnnotationError(f"{self.ann_file}:{number} is no JSON: {error}") from error
        if not isinstance(sample, dict):
            raise AnnotationError(f"{self.ann_file}:{number}: expected an object of JSON, got {type(sample).__name__}")
        return sample


class TextFileDataset(_FileDataset):
    """A text file: each line that is not empty gives a sample ``dict(text=...)``.

    Args:
        ann_file: path of the file.
        **kwargs: further arguments of :class:`BaseDataset`, such as ``data_root`` and ``pipeline``.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Returns one annotation per line."""
        with Path(str(self.ann_file)).open(encoding="utf-8") as file:
            return [{"text": line.rstrip("\r\n")} for line in file if line.strip()]


# Fallbacks, so that a class with one of these names in a user's project takes precedence.
for _class in (ImageFolderDataset, CsvDataset, JsonLinesDataset, TextFileDataset):
    DATASETS.register_fallback(_class.__name__, _class)
