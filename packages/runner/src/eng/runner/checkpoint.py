"""The module path under which libraries import the functions of :mod:`eng.checkpoint`."""

from eng.checkpoint import *  # noqa: F403
