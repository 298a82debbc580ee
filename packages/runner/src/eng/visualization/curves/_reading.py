"""JSON objects out of a file that may be damaged, without holding the file in memory."""

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
    """Lines of a file that could not be read.

    Args:
        numbers: of the lines, from 1.
        first_text: beginning of the first of them.
        ends_in_half: whether the last line was cut, as by a kill.
        num_good: lines that could be read.
    """

    numbers: list[int] = field(default_factory=list)
    first_text: str = ""
    ends_in_half: bool = False
    num_good: int = 0

    def note(self, number: int, line: bytes) -> None:
        """Notes a line that cannot be read."""
        if not self.numbers:
            self.first_text = line[:60].decode("utf-8", "backslashreplace")
        self.numbers.append(number)


class LineSource:
    """What a file of JSON lines held when it was opened, to be read any number of times.

    The file stays open: a run that goes on replaces its own file while trackers still read the earlier one.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._size = self._file.seek(0, 2)
        self._lock = threading.Lock()

    def objects(self, damage: Damage) -> Iterator[dict[str, Any]]:
        """The objects of the lines, in order; lines that are none are left out and noted in `damage`."""
        number = 0
        for line, is_whole in self._lines():
            if not line.strip():
                continue
            number += 1
            value = _parsed(line)
            if value is not None:
                damage.num_good += 1
                yield value
            elif not is_whole and line.lstrip().startswith(b"{"):
                damage.ends_in_half = True
            else:
                damage.note(number, line)

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Each line, and whether a line break ended it; of one that is absurdly long only the beginning."""
        position, waiting = 0, b""
        while position < self._size:
            with self._lock:
                self._file.seek(position)
                chunk = self._file.read(min(_CHUNK_BYTES, self._size - position))
            if not chunk:  # somebody cut the file meanwhile
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


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None where there is none, or where its position is not made of numbers and names."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _has_position(value) else None


def _has_position(value: dict[str, Any]) -> bool:
    return all(_is_number(value[key]) for key in ("step", "iteration") if key in value) and all(
        value[key] is None or isinstance(value[key], str) for key in ("axis", "mode") if key in value
    )


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < _LARGEST
    )
