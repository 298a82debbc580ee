"""How often torch.compile compiled a function again, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from eng.logging.words import counted

__all__ = ["Recompiles"]

_MOST_REASONS = 3


class Recompiles:
    """Reads what torch's compiler notes about itself; costs one look at the loaded modules where nothing is compiled."""

    def __init__(self) -> None:
        self.count = 0
        self._last: Any = None

    def begin(self) -> None:
        """Leaves out what was compiled so far."""
        self.count = 0
        notes = _notes()
        self._last = notes[-1] if notes else None

    def news(self) -> str:
        """What was compiled again since the last look, with reasons; "" where nothing was."""
        new = self._new_notes()
        again = [note for note in new if getattr(note, "recompile_reason", None)]
        if not again:
            return ""
        self.count += len(again)
        reasons = dict.fromkeys(_reason(note) for note in again)
        shown = [*list(reasons)[:_MOST_REASONS], *(["…"] if len(reasons) > _MOST_REASONS else [])]
        total = f", {self.count} in all" if self.count > len(again) else ""
        return f"torch.compile compiled again {counted(len(again), 'time')}{total}: {'; '.join(shown)}"

    def _new_notes(self) -> Sequence[Any]:
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
    read = getattr(utils, "get_compilation_metrics", None)
    return read() if read is not None else []


def _reason(note: Any) -> str:
    reason = " ".join(str(note.recompile_reason).split())
    source = f"{note.co_filename}:{note.co_firstlineno}" if getattr(note, "co_filename", None) else "unknown place"
    return f"{note.co_name} ({source}) as {reason.partition(': ')[2] or reason}"
