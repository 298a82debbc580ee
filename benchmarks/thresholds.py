"""When a row of the benchmarks fails."""

from __future__ import annotations

import re

SLACK = 1.5


def missed(measured: str, target: str, slack: float = SLACK) -> bool:
    """Whether a ratio (``1.30x``) or a share (``7.0%``) is beyond its target (``<= 1.05``) by more than the factor `slack`."""
    bound = re.fullmatch(r"([<>])=? ?([\d.]+)\s*(x|%)?.*", target)
    value = re.fullmatch(r"([\d.]+)(x|%)", measured)
    if bound is None or value is None:
        return False
    number, limit = float(value[1]), float(bound[2])
    return number > limit * slack if bound[1] == "<" else number < limit / slack
