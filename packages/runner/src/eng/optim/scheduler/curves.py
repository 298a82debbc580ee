"""The curves that schedulers follow, as pure functions.

Each function computes the next value from the previous one, so that several schedulers may change one value: a warm-up
multiplies the value that an annealing schedule has written. Applied alone, starting from ``base``, a function gives the
closed form in its docstring.

Legend: ``value`` is the present value in the parameter group, ``base`` the value before the first schedule began,
``step`` the number of units since the schedule began (0 at its first unit), ``total`` the last step of the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def exponential(value: float, step: int, gamma: float) -> float:
    """Returns the value at ``step`` of the curve ``base * gamma ** step``, from the ``value`` at the previous step.

    Examples:
        >>> exponential(0.5, step=3, gamma=0.1)
        0.05
    """
    if step == 0:
        return value
    return value * gamma


def staircase(value: float, step: int, step_size: float, gamma: float) -> float:
    """Returns the value at ``step`` of the curve ``base * gamma ** (step // step_size)``.

    ``value`` is the value at the previous step.
    """
    if step == 0 or step % step_size != 0:
        return value
    return value * gamma


def milestones_passed(value: float, step: int, milestones: Mapping[int, int], gamma: float) -> float:
    """Returns the value at ``step`` of the curve ``base * gamma ** n``, where n counts the milestones up to ``step``.

    Args:
        value: value at the previous step.
        step: number of units (epochs, iterations or updates) since the schedule began.
        milestones: for each step that is a milestone, how often the milestone was listed.
        gamma: factor by which each milestone multiplies the value.
    """
    times = milestones.get(step, 0)
    if times == 0:
        return value
    return value * gamma**times


def constant(value: float, base: float, step: int, total: float, factor: float) -> float:
    """Returns the value at ``step`` of the curve that is ``base * factor`` before step ``total`` and ``base`` after it.

    ``value`` is the value at the previous step.
    """
    if step == 0:
        return value * factor
    if step != total:
        return value
    if factor == 0:
        return base
    return value * (1.0 / factor)


def linear(value: float, base: float, step: int, total: float, start_factor: float, end_factor: float) -> float:
    """Returns the value at ``step`` of ``base * (start_factor + (end_factor - start_factor) * step / total)``.

    ``value`` is the value at the previous step. The result is ``value`` times a factor, so that several schedules can
    change one hyperparameter at the same time.

    Examples:
        >>> linear(0.1, base=1.0, step=1, total=9, start_factor=0.1, end_factor=1.0)
        0.2
    """
    if step == 0:
        return value * start_factor
    rise = end_factor - start_factor
    before = total * start_factor + (step - 1) * rise
    if before == 0:  # The previous value is 0, so no factor can raise it.
        return base * (start_factor + rise * step / total)
    return value * (1.0 + rise / before)


def cosine_annealing(value: float, base: float, step: int, period: float, floor: float) -> float:
    """Returns the value at ``step`` of the curve ``floor + (base - floor) * (1 + cos(pi * step / period)) / 2``.

    ``value`` is the value at the previous step.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983, equation 5, without restarts.

    Examples:
        >>> round(cosine_annealing(1.0, base=1.0, step=1, period=2, floor=0.0), 12)
        0.5
    """
    if step == 0:
        return value
    if (step - 1 - period) % (2 * period) == 0:  # value - floor is 0, so no factor can raise it.
        return value + (base - floor) * (1 - math.cos(math.pi / period)) / 2
    now, before = math.cos(math.pi * step / period), math.cos(math.pi * (step - 1) / period)
    return (1 + now) / (1 + before) * (value - floor) + floor


def cosine_restart(value: float, base: float, step: float, period: float, floor: float, weight: float) -> float:
    """Returns the value at ``step`` of ``floor + (weight * base - floor) * (1 + cos(pi * step / period)) / 2``.

    ``step`` counts the units since the last restart; ``value`` is the value at the previous step.

    Source: Loshchilov & Hutter 2017 (SGDR), arXiv:1608.03983, equation 5.
    """
    if step == 0:
        return base * weight
    now, before = math.cos(math.pi * step / period), math.cos(math.pi * (step - 1) / period)
    return (1 + now) / (1 + before) * (value - floor) + floor


def polynomial(value: float, step: int, total: float, power: float, floor: float) -> float:
    """Returns the value at ``step`` of the curve ``floor + (base - floor) * (1 - step / total) ** power``.

    ``value`` is the value at the previous step.

    Source: Chen et al. 2018 (DeepLab), arXiv:1606.00915, section 4.1.
    """
    if step == 0:
        return value
    factor: float = (1 - 1 / (total - step + 1)) ** power
    return (value - floor) * factor + floor


def anneal(start: float, end: float, fraction: float, strategy: str) -> float:
    """Interpolates between ``start`` (fraction 0) and ``end`` (fraction 1), along half a cosine or a line.

    Args:
        start: value at fraction 0.
        end: value at fraction 1.
        fraction: position between start and end, 0 to 1.
        strategy: ``"cos"`` for half a cosine or ``"linear"`` for a line.

    Examples:
        >>> anneal(1.0, 0.0, 0.25, "linear")
        0.75
    """
    if strategy == "linear":
        return (end - start) * fraction + start
    return end + (start - end) / 2.0 * (math.cos(math.pi * fraction) + 1)


def one_cycle(step: int, turning_points: Sequence[float], heights: Sequence[float], strategy: str) -> float:
    """Returns the value at ``step`` of a curve that goes from height to height, and reaches each at a turning point.

    Args:
        step: number of units (epochs, iterations or updates) since the schedule began.
        turning_points: for each phase of the schedule the step at which the phase ends, in ascending order.
        heights: the value at step 0, followed by the value at each turning point.
        strategy: curve between two heights: ``"cos"`` for half a cosine or ``"linear"`` for a line.

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
    fraction = 1.0
    if end != begin:
        fraction = (step - begin) / (end - begin)
    return anneal(heights[phase], heights[phase + 1], fraction, strategy)
