"""Details: log records that go to the log file and not to the console, unless ``--verbose`` is set."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["DETAIL", "are_details_shown", "is_detail", "showing_details"]

DETAIL: Mapping[str, Any] = {"is_detail": True}
"""Argument ``extra`` of a log call whose record goes to the log file only, such as the text of the config."""
_SHOWN: ContextVar[bool] = ContextVar("details on the console", default=False)


def is_detail(record: logging.LogRecord) -> bool:
    """Whether a log record is a detail, which is written to the log file and not to the console."""
    return bool(getattr(record, "is_detail", False))


def are_details_shown() -> bool:
    """Whether the console also shows details, which are otherwise written to the log file only."""
    return _SHOWN.get()


@contextmanager
def showing_details(shown: bool = True) -> Iterator[None]:
    """Lets the console also show details inside the ``with`` block, as the option ``--verbose`` does.

    Details are log records that are otherwise written to the log file only.
    """
    token = _SHOWN.set(shown)
    try:
        yield
    finally:
        _SHOWN.reset(token)
