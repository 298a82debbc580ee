"""Helpers of the tests of instance data."""

from __future__ import annotations

import itertools
from typing import Any


class Polygons:
    """A user's own rows: length, parts, and cat."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: slice) -> Polygons:
        assert isinstance(item, slice)
        return Polygons(self.rows[item])

    @staticmethod
    def cat(parts: list[Polygons]) -> Polygons:
        return Polygons(list(itertools.chain(*(part.rows for part in parts))))
