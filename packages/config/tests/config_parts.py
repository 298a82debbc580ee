"""What several tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eng.config import Config

Write = Callable[..., Path]


def chain(cfg: Config, key: str) -> list[tuple[str, str | None, int | None, Any]]:
    return [(step.layer, step.file, step.line, step.value) for step in cfg.explain(key)]
