"""The watch: a thread per rank that carries failures to the other ranks and explains waits."""

from __future__ import annotations

from eng.dist.watch._start import start_watch

__all__ = ["start_watch"]
