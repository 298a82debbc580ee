"""What a check found."""

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
    """One thing in a config that would go wrong, or be passed over in silence.

    Attributes:
        kind: what sort of thing.
        path: the keys that lead to it, such as ``"model.backbone.depht"``.
        message: what is wrong and what to do, in one line.
        where: ``"path/file.py:12"`` where the config knows it.
        is_certain: False where the code of the parent might still put it right, such as by filling in an argument.
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
        """The finding as plain values, for JSON."""
        return asdict(self)
