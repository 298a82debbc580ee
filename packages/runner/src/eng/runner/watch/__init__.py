"""Runs as they are trained: their curves and status, on a page of this machine and on a terminal."""

from .follow import Watched, Watcher
from .screen import screen_lines
from .server import WatchServer

__all__ = ["WatchServer", "Watched", "Watcher", "screen_lines"]
