"""How often torch.compile compiled a function again, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from eng.logging.words import counted

__all__ = ["Recompiles"]

_MOST_REASONS = 3


class Recompiles:
    """Reads what torch's compiler notes about itself; costs one look at the loaded modules where nothing is compiled."""

    def __init__(self) -> None:
        self.count = 0
        self._last: Any = None
        self._has_told: set[str] = set()

    def begin(self) -> None:
        """Leaves out what was compiled so far."""
        self.count = 0
        notes = _notes()
        if notes:
            self._last = notes[-1]
        else:
            self._last = None

    def news(self) -> str:
        """What was compiled again since the last look, with reasons, and what will not be any more; "" where nothing was."""
        new = self._new_notes()
        limited = [text for text in map(_limit, new) if text and text not in self._has_told]
        self._has_told.update(limited)
        again = [note for note in new if getattr(note, "recompile_reason", None) and not _limit(note)]
        return "\n".join([*filter(None, [self._recompiled(again)]), *dict.fromkeys(limited)])

    def _recompiled(self, again: Sequence[Any]) -> str:
        """The line about functions that were compiled again, with the first reasons; empty where there are none."""
        if not again:
            return ""
        self.count += len(again)
        reasons = dict.fromkeys(_reason(note) for note in again)
        shown = [*list(reasons)[:_MOST_REASONS], *(["…"] if len(reasons) > _MOST_REASONS else [])]
        total = ""
        if self.count > len(again):
            total = f", {self.count} in all"
        return f"torch.compile compiled again {counted(len(again), 'time')}{total}: {'; '.join(shown)}"

    def _new_notes(self) -> Sequence[Any]:
        """The compiler's notes since the last call, oldest first."""
        notes = _notes()
        new: list[Any] = []
        for note in reversed(notes):
            if note is self._last:
                break
            new.append(note)
        if notes:
            self._last = notes[-1]
        return new[::-1]


def _notes() -> Sequence[Any]:
    """One note for each compilation, oldest first; the compiler keeps the newest."""
    utils = sys.modules.get("torch._dynamo.utils")
    read: Callable[[], Sequence[Any]] = getattr(utils, "get_compilation_metrics", list)
    return read()


def _limit(note: Any) -> str:
    """That a function reached the limit of recompiles and runs uncompiled; "" for any other note."""
    failure = str(getattr(note, "fail_reason", None) or "")
    if not any(name in failure for name in ("recompile_limit", "cache_size_limit")):
        return ""
    # The note of a failure has no name, and the function's other notes, of the same frame, have.
    frame = str(note.compile_id).partition("/")[0]
    named = next((earlier for earlier in reversed(_notes()) if _is_of(earlier, frame) and earlier.co_name), note)
    return (
        f"torch.compile compiles {_name(named)} no more: it was compiled as often as recompile_limit allows, and runs uncompiled for "
        f"new shapes and values (last reason: {_why(note)})"
    )


def _is_of(note: Any, frame: str) -> bool:
    return str(note.compile_id).partition("/")[0] == frame


def _reason(note: Any) -> str:
    return f"{_name(note)} as {_why(note)}"


def _why(note: Any) -> str:
    reason = " ".join(str(note.recompile_reason).split())
    return reason.partition(": ")[2] or reason


def _name(note: Any) -> str:
    source = "unknown place"
    if getattr(note, "co_filename", None):
        source = f"{note.co_filename}:{note.co_firstlineno}"
    return f"{note.co_name} ({source})"
