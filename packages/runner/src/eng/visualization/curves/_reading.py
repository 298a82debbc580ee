"""Reads JSON lines from a file that may be damaged, in chunks, so that a large file does not fill the memory."""

from __future__ import annotations

import json
import math
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Damage", "LineSource"]

_CHUNK_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 26
_LARGEST = 1 << 62


@dataclass
class Damage:
    """Records which lines of a JSON lines file could not be read.

    Args:
        numbers: line numbers of the damaged lines, counted from 1.
        first_text: beginning of the first damaged line.
        ends_in_half: whether the last line is incomplete, because the writing process was killed.
        num_good: number of lines that could be read.
    """

    numbers: list[int] = field(default_factory=list)
    first_text: str = ""
    ends_in_half: bool = False
    num_good: int = 0

    def note(self, number: int, line: bytes) -> None:
        """Adds a damaged line to this record.

        Args:
            number: number of the line in the file.
            line: the bytes of the line.
        """
        if not self.numbers:
            self.first_text = line[:60].decode("utf-8", "backslashreplace")
        self.numbers.append(number)


class LineSource:
    """A JSON lines file (one JSON object per line) that can be read several times, always with the same content.

    Lines that are appended later are not read. The file stays open: a resumed run replaces the file by a new one while
    experiment trackers still read the old one.

    Args:
        path: path of the file.

    Raises:
        FileNotFoundError: the file does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._size = self._file.seek(0, 2)
        self._lock = threading.Lock()

    def objects(self, damage: Damage) -> Iterator[dict[str, Any]]:
        """Yields the JSON object of each line, in order.

        Args:
            damage: record to which lines that are no JSON objects are added.
        """
        number = 0
        for line, is_complete in self._lines():
            if not line.strip():
                continue
            number += 1
            value = _parse(line)
            if value is not None:
                damage.num_good += 1
                yield value
            elif not is_complete and line.lstrip().startswith(b"{"):
                damage.ends_in_half = True
            else:
                damage.note(number, line)

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Yields each line of the file, and whether a line break ends the line; a line above 64 MiB is cut.

        Only the last line may lack a line break, because the process that wrote it was killed.
        """
        position, waiting = 0, b""
        while position < self._size:
            with self._lock:
                self._file.seek(position)
                chunk = self._file.read(min(_CHUNK_BYTES, self._size - position))
            if not chunk:
                # Another process truncated the file after it was opened.
                break
            position += len(chunk)
            *lines, unfinished = chunk.split(b"\n")
            for line in lines:
                yield waiting + line, True
                waiting = b""
            if len(waiting) < _MAX_LINE_BYTES:
                waiting += unfinished
        if waiting:
            yield waiting, False


def _parse(line: bytes) -> dict[str, Any] | None:
    """Parses a line as a JSON object.

    None is returned for any other line, and for an object whose ``step``, ``iteration``, ``axis`` or ``mode`` has a
    wrong type.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and _has_position(value):
        return value
    return None


def _has_position(value: dict[str, Any]) -> bool:
    """Whether the entries of a line that give its position in the run have the right types.

    ``step`` and ``iteration`` must be numbers, ``axis`` and ``mode`` strings; each entry may be missing.
    """
    numbers = [value[key] for key in ("step", "iteration") if key in value]
    names = [value[key] for key in ("axis", "mode") if key in value]
    return all(map(_is_number, numbers)) and all(name is None or isinstance(name, str) for name in names)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < _LARGEST
    )
