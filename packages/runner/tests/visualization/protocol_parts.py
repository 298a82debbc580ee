"""Helpers of the tests of protocol."""

from __future__ import annotations

import threading


class Plain:
    """A tracker that knows nothing of eng and derives from nothing."""

    def __init__(self, save_dir: str) -> None:
        self.calls: list[tuple] = []
        self.threads: set[str] = set()

    def add_scalar(self, name, value, step=0):
        self.threads.add(threading.current_thread().name)
        self.calls.append((name, value, step))

    def add_scalars(self, scalar_dict, step=0, file_path=None):
        self.threads.add(threading.current_thread().name)
        self.calls.append((dict(scalar_dict), step))

    def close(self):
        self.calls.append("closed")
