"""Finds the line of the user's program that called a collective."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

_HERE = str(Path(__file__).parent)


def public_call() -> tuple[str, str]:
    """Returns the name of the function of eng.dist that the user's program called, and ``file:line`` of the call."""
    frame: Any = inspect.currentframe()  # Not inspect.stack(), which reads source files and is far slower.
    name = frame.f_code.co_name
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        name = frame.f_code.co_name
        frame = frame.f_back
    return name, f"{frame.f_code.co_filename}:{frame.f_lineno}"
