"""Details of a run: what only a reader of the log file looks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["DETAIL", "are_details_shown", "is_detail", "showing_details"]

DETAIL: Mapping[str, Any] = {"is_detail": True}
"""``extra`` of a record that goes to the log file only, such as the environment and the whole config."""
_SHOWN: ContextVar[bool] = ContextVar("details on the console", default=False)


def is_detail(record: logging.LogRecord) -> bool:
    """Whether a record is meant for the log file only."""
    return bool(getattr(record, "is_detail", False))


def are_details_shown() -> bool:
    """Whether the console shows details too."""
    return _SHOWN.get()


@contextmanager
def showing_details(shown: bool = True) -> Iterator[None]:
    """Lets the console show details too, as ``--verbose`` asks for."""
    token = _SHOWN.set(shown)
    try:
        yield
    finally:
        _SHOWN.reset(token)
