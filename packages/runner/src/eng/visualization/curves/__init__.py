"""Curves: the scalars of runs over time, read from the JSON lines that each run writes into its work directory."""

from ._reading import Damage
from .choose import UnknownCurveError, choose_names, load_runs
from .folders import run_folders, short_names, what_differs
from .lines import Line, Lines, LinesError, cut, read_lines, survives
from .order import in_order, is_timing
from .page import fill_page, page_data, render_page
from .picture import draw_picture
from .starts import Curves, NoCurvesError, find_scalars, load_curves, scalars_before

__all__ = [
    "Curves",
    "Damage",
    "Line",
    "Lines",
    "LinesError",
    "NoCurvesError",
    "UnknownCurveError",
    "choose_names",
    "cut",
    "draw_picture",
    "fill_page",
    "find_scalars",
    "in_order",
    "is_timing",
    "load_curves",
    "load_runs",
    "page_data",
    "read_lines",
    "render_page",
    "run_folders",
    "scalars_before",
    "short_names",
    "survives",
    "what_differs",
]
