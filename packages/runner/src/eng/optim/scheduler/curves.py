"""The curves that schedulers follow, as pure formulas.

Each gives the next value from the one before, so that several schedulers may act on one value: a warm-up multiplies
what an annealing schedule left there. Followed alone, from ``base`` on, each gives the closed form in its docstring.

Legend: ``value`` is what stands in the parameter group, ``base`` what stood there before the first schedule began,
``step`` the number of units since the schedule began (0 at its first), ``total`` its last step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def exponential(value: float, step: int, gamma: float) -> float:
    """``base * gamma ** step``.

    Examples:
        >>> exponential(0.5, step=3, gamma=0.1)
        0.05
    """
    return value * gamma if step else value


def staircase(value: float, step: int, step_size: float, gamma: float) -> float:
    """``base * gamma ** (step // step_size)``."""
    return value * gamma if step and step % step_size == 0 else value


def milestones_passed(value: float, step: int, milestones: Mapping[int, int], gamma: float) -> float:
    """``base * gamma ** n``, where n counts the milestones up to ``step``.

    Args:
        value: the present value.
        step: units since the schedule began.
        milestones: how often each step is a milestone.
        gamma: factor of each milestone.
    """
    times = milestones.get(step, 0)
    return value * gamma**times if times else value


def constant(value: float, base: float, step: int, total: float, factor: float) -> float:
    """``base * factor`` before step ``total``, and ``base`` from there on."""
    if step == 0:
        return value * factor
    if step != total:
        return value
    return value * (1.0 / factor) if factor else base


def linear(value: float, base: float, step: int, total: float, start_factor: float, end_factor: float) -> float:
    """``base * (start_factor + (end_factor - start_factor) * step / total)``.

    Examples:
        >>> linear(0.1, base=1.0, step=1, total=9, start_factor=0.1, end_factor=1.0)
        0.2
    """
    if step == 0:
        return value * start_factor
    rise = end_factor - start_factor
    before = total * start_factor + (step - 1) * rise
    if before == 0:  # nothing left to multiply: a warm-up from zero
        return base * (start_factor + rise * step / total)
    return value * (1.0 + rise / before)


def cosine_annealing(value: float, base: float, step: int, period: float, floor: float) -> float:
    """``floor + (base - floor) * (1 + cos(pi * step / period)) / 2``.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983, equation 5, without restarts.

    Examples:
        >>> round(cosine_annealing(1.0, base=1.0, step=1, period=2, floor=0.0), 12)
        0.5
    """
    if step == 0:
        return value
    if (step - 1 - period) % (2 * period) == 0:  # the value stands on the floor: there is nothing to multiply
        return value + (base - floor) * (1 - math.cos(math.pi / period)) / 2
    now, before = math.cos(math.pi * step / period), math.cos(math.pi * (step - 1) / period)
    return (1 + now) / (1 + before) * (value - floor) + floor


def cosine_restart(value: float, base: float, step: float, period: float, floor: float, weight: float) -> float:
    """``floor + (weight * base - floor) * (1 + cos(pi * step / period)) / 2``; ``step`` counts from the restart.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983, equation 5.
    """
    if step == 0:
        return base * weight
    now, before = math.cos(math.pi * step / period), math.cos(math.pi * (step - 1) / period)
    return (1 + now) / (1 + before) * (value - floor) + floor


def polynomial(value: float, step: int, total: float, power: float, floor: float) -> float:
    """``floor + (base - floor) * (1 - step / total) ** power``.

    Source: Chen et al. 2018 (DeepLab), arXiv:1606.00915, section 4.1.
    """
    if step == 0:
        return value
    factor: float = (1 - 1 / (total - step + 1)) ** power
    return (value - floor) * factor + floor


def anneal(start: float, end: float, fraction: float, strategy: str) -> float:
    """Between ``start`` (fraction 0) and ``end`` (fraction 1), along half a cosine or a line.

    Args:
        start: value at fraction 0.
        end: value at fraction 1.
        fraction: of the way.
        strategy: ``"cos"`` or ``"linear"``.

    Examples:
        >>> anneal(1.0, 0.0, 0.25, "linear")
        0.75
    """
    if strategy == "linear":
        return (end - start) * fraction + start
    return end + (start - end) / 2.0 * (math.cos(math.pi * fraction) + 1)


def one_cycle(step: int, turning_points: Sequence[float], heights: Sequence[float], strategy: str) -> float:
    """From height to height, each reached at its turning point.

    Args:
        step: units since the schedule began.
        turning_points: the step at which each phase ends, in order.
        heights: the value at step 0 and at each turning point; one more than turning points.
        strategy: ``"cos"`` or ``"linear"``.

    Source: Smith & Topin 2018, arXiv:1708.07120.

    Examples:
        >>> one_cycle(1, [2.0, 8.0], [0.0, 1.0, 0.0], "linear")
        0.5
    """
    last = len(turning_points) - 1
    begin = 0.0
    for phase, end in enumerate(turning_points):
        if step <= end or phase == last:
            break
        begin = end
    fraction = (step - begin) / (end - begin) if end != begin else 1.0
    return anneal(heights[phase], heights[phase + 1], fraction, strategy)
