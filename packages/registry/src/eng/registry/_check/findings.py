"""`Finding`, one mistake that a check of a config reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "unknown-type",
    "unknown-scope",
    "unknown-argument",
    "unknown-key",
    "misplaced-key",
    "missing-argument",
    "missing-type",
    "wrong-type",
]


@dataclass(frozen=True)
class Finding:
    """One mistake in a config: something that would raise an error during the run, or be ignored silently.

    Attributes:
        kind: category of the mistake.
        path: the keys from the root of the config to the mistake, such as ``"model.backbone.depht"``.
        message: what is wrong and how to fix it, in one line.
        where: file and line of the mistake, such as ``"path/file.py:12"``; None if the config does not record them.
        is_certain: True if a run will certainly fail. False if code that builds this part of the config may still
            correct the mistake, for example by adding a missing argument.
    """

    kind: Kind
    path: str
    message: str
    where: str | None = None
    is_certain: bool = True

    def __str__(self) -> str:
        location = ""
        if self.where:
            location = f"{self.where} "
        return f"{location}{self.path}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the finding as a dict of plain values, for JSON."""
        return asdict(self)
