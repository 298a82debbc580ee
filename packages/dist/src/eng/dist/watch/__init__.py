"""The watch: a thread in every rank that reports failures to the other ranks, and stacks if a collective hangs."""

from __future__ import annotations

from eng.dist.watch._start import start_watch

__all__ = ["start_watch"]
