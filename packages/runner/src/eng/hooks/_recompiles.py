"""Counts how often torch.compile recompiled a function, and reports the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.checkpoint.torch_internals import compilation_metrics
from eng.logging.words import counted

__all__ = ["Recompiles"]

_MOST_REASONS = 3


class Recompiles:
    """Counts the recompilations of ``torch.compile`` and describes their reasons, from the compiler's metrics.

    In a process that has not imported the compiler, the methods only look into ``sys.modules``.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: Any = None
        self._reported: set[str] = set()

    def begin(self) -> None:
        """Sets the count of recompilations to 0; compilations before this call are not reported."""
        self.count = 0
        notes = compilation_metrics()
        if notes:
            self._last = notes[-1]
        else:
            self._last = None

    def news(self) -> str:
        """Returns a warning about the recompilations since the last call, with their reasons; "" if there were none.

        The warning also names functions that reached the recompilation limit and now run uncompiled.
        """
        new = self._new_notes()
        limited = [text for text in map(_limit, new) if text and text not in self._reported]
        self._reported.update(limited)
        again = [note for note in new if getattr(note, "recompile_reason", None) and not _limit(note)]
        lines = [self._describe_recompiles(again), *dict.fromkeys(limited)]
        return "\n".join(line for line in lines if line)

    def _describe_recompiles(self, again: Sequence[Any]) -> str:
        """Adds recompilations to the count and returns a line about them, with up to three reasons.

        ``again`` contains the compiler's metrics of the recompilations; the line is "" if there are none.
        """
        if not again:
            return ""
        self.count += len(again)
        reasons = dict.fromkeys(_reason(note) for note in again)
        shown = list(reasons)[:_MOST_REASONS]
        if len(reasons) > _MOST_REASONS:
            shown.append("…")
        total = ""
        if self.count > len(again):
            total = f", {self.count} in all"
        return f"torch.compile compiled again {counted(len(again), 'time')}{total}: {'; '.join(shown)}"

    def _new_notes(self) -> Sequence[Any]:
        """Returns the compiler's metrics of all compilations since the last call, oldest first."""
        notes = compilation_metrics()
        new: list[Any] = []
        for note in reversed(notes):
            if note is self._last:
                break
            new.append(note)
        if notes:
            self._last = notes[-1]
        return new[::-1]


def _limit(note: Any) -> str:
    """Returns the warning that a function reached the recompilation limit of ``torch.compile``.

    ``note`` contains the metrics of one compilation. The warning is "" if this compilation did not fail at the limit.
    """
    failure = str(getattr(note, "fail_reason", None) or "")
    if not any(name in failure for name in ("recompile_limit", "cache_size_limit")):
        return ""
    # Metrics of a failed compilation lack the function's name, which earlier metrics of the same function contain. So
    # the name is taken from these.
    frame = str(note.compile_id).partition("/")[0]
    named = next(
        (earlier for earlier in reversed(compilation_metrics()) if _is_of(earlier, frame) and earlier.co_name), note
    )
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
    """Returns the name of a compiled function with its file and line, from the metrics of its compilation."""
    source = "unknown place"
    if getattr(note, "co_filename", None):
        source = f"{note.co_filename}:{note.co_firstlineno}"
    return f"{note.co_name} ({source})"
