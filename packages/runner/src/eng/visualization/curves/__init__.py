"""The curves of runs, from the JSON lines that every run leaves in its work dir."""

from .choose import UnknownCurveError, choose_names, load_runs
from .lines import Line, Lines, LinesError, cut, read_lines, survives
from .page import render_page
from .picture import draw_picture
from .starts import Curves, NoCurvesError, find_scalars, load_curves, scalars_before

__all__ = [
    "Curves",
    "Line",
    "Lines",
    "LinesError",
    "NoCurvesError",
    "UnknownCurveError",
    "choose_names",
    "cut",
    "draw_picture",
    "find_scalars",
    "load_curves",
    "load_runs",
    "read_lines",
    "render_page",
    "scalars_before",
    "survives",
]
