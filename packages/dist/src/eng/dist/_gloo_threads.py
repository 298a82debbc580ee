"""Waiting for gloo's threads before the interpreter ends."""

from __future__ import annotations

import time
from pathlib import Path

_THREADS = Path("/proc/self/task")  # Linux alone shows what a process's threads do
_NAME = b"pt_gloo"  # torch names the threads so that work through a group's queue of collectives
_POLL_S = 0.002
_LIMIT_S = 5.0


def wait_for_gloo_threads() -> None:
    """Waits until each gloo thread of this process sleeps.

    A thread that has just completed a collective may hold the last reference to a Python tensor, and frees it under the
    interpreter's lock. Where the interpreter ends meanwhile, that aborts the process ("terminate called without an
    active exception", torch 2.6 to 2.13), although the run ended well. On a loaded machine this is one end in ten to a
    hundred. Called at exit, this function lets the threads come to rest first.
    """
    deadline = time.monotonic() + _LIMIT_S
    quiet_polls = 0
    # Twice: a thread that waits for the interpreter's lock sleeps too, and gets the lock between the two polls.
    while quiet_polls < 2 and (states := _states()) and time.monotonic() < deadline:
        if states == {"S"}:
            quiet_polls += 1
        else:
            quiet_polls = 0
        time.sleep(_POLL_S)


def _states() -> set[str]:
    """The scheduler's states of gloo's threads: ``'R'`` runs or is ready to, ``'S'`` sleeps."""
    states = set()
    for thread in _THREADS.glob("*"):
        try:
            if (thread / "comm").read_bytes().startswith(_NAME):
                states.add((thread / "stat").read_bytes().rpartition(b")")[2].split()[0].decode("ascii"))
        except OSError:  # the thread has ended
            continue
    return states
