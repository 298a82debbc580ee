"""The curves of runs, from the JSON lines that every run leaves in its work dir."""

from .lines import Line, LinesError, cut, read_lines
from .starts import Curves, find_scalars, load_curves, scalars_before

__all__ = ["Curves", "Line", "LinesError", "cut", "find_scalars", "load_curves", "read_lines", "scalars_before"]
