"""Follows runs while they train: shows their curves and status on a local web page or in a terminal."""

from .follow import Watched, Watcher
from .screen import screen_lines
from .server import WatchServer

__all__ = ["WatchServer", "Watched", "Watcher", "screen_lines"]
