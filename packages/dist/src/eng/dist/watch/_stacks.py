"""Formats the stacks of all threads of this process."""

from __future__ import annotations

import sys
import threading
import traceback


def stacks(skip: int | None) -> str:
    """Returns the stacks of all threads as text.

    Args:
        skip: identifier of a thread to omit, such as that of the watch itself; None omits no thread.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001 # documented; the underscore says that other Pythons may lack it
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
        if ident != skip
    )
