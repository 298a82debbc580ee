"""The learning rate by a range test, confirmed by short trainings."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ._rehearsal import Rehearsal, batches, rehearse
from .errors import TuneError

__all__ = ["LrSearch", "find_lr"]

_SMOOTHING = 0.9
_DIVERGED = 4.0
_FACTOR = 3.0
_WORSE = 2
_LEARNED = 0.05  # share of the first loss by which a training lowers the loss, below which it learned nothing
_WIDTH = 0.7  # of the smoothing over rates, in natural logarithms: a factor of 2
_RESOLUTION = 0.05
_LOWEST_SHARE = 1e-4  # of the first loss; losses below it are alike


@dataclass(frozen=True)
class LrSearch:
    """What a range test came to.

    Args:
        lrs: rates of the range test.
        losses: smoothed losses at these rates; the test ends where they diverge.
        trials: pairs of a rate and the loss on held-out samples after a short training at this rate; infinite where it
            diverged.
        suggestion: the rate where the losses of the short trainings, smoothed over neighbouring rates, are lowest.
        current: the rate in the config.
        suggestions: the rate of each optimizer by name; a single one has the name ``""``.
    """

    lrs: list[float]
    losses: list[float]
    trials: list[tuple[float, float]]
    suggestion: float
    current: float
    suggestions: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self)

    def draw(self, path: str | Path) -> None:
        """Draws the losses over the rates into a picture.

        Args:
            path: of the picture; its ending says which format.

        Raises:
            TuneError: matplotlib is not installed.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise TuneError("the picture needs matplotlib: pip install matplotlib") from error
        figure = Figure(figsize=(8, 5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.semilogx(self.lrs, self.losses, label="range test, smoothed loss")
        finite = [(rate, loss) for rate, loss in self.trials if math.isfinite(loss)]
        axes.semilogx(*zip(*finite, strict=True), "o", label="short trainings, held-out losses")
        axes.axvline(self.suggestion, color="C2", label=f"suggestion: {self.suggestion:.3g}")
        axes.axvline(self.current, color="C3", linestyle=":", label=f"config: {self.current:.3g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        figure.savefig(path)


def find_lr(
    run: Any,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    num_iters: int = 100,
    num_trials: int = 12,
    trial_iters: int = 150,
) -> LrSearch:
    """The learning rate that lowers the loss of a run the most in its first steps.

    A range test raises the rate at each step, from ``low`` to ``high``, until the loss diverges. Short trainings then
    decide, each from the state of the run: they begin at the rate of the range test and go up and down by a factor of 3
    until the loss gets worse, and then try the rates between the best and its neighbours. Their loss is that on a fifth of
    the training samples, which they do not train on; where the data cannot be divided (a stream, fewer than five batches, a
    sampler that does more than shuffle, a model with a ``train_step`` of its own), it is the training loss. The lowest
    point of their losses, smoothed over neighbouring rates, wins. Rates of parameter groups keep their ratios. The run stays as
    it is, in bits.

    Args:
        run: a Runner, or a config or its path.
        low: lowest rate.
        high: highest rate.
        num_iters: steps of the range test.
        num_trials: short trainings at most, before two more between the best and its neighbours.
        trial_iters: steps of each.

    Raises:
        TuneError: the range is empty, the run has nothing to train with, or the loss is not finite at the lowest rate.
    """
    if not 0 < low < high:
        raise TuneError(f"the range of learning rates is empty: low={low:g} must be above 0 and below high={high:g}")
    if num_iters < 10 or num_trials < 2 or trial_iters < 1:
        raise TuneError("a range test takes at least 10 steps, and at least 2 short trainings of 1 step")
    with rehearse(run) as rehearsal:
        lrs, losses = _range_test(rehearsal, low, high, num_iters)
        start = start_rate(lrs, losses)
        trials = search(
            lambda rate: _short_training(rehearsal, rate, trial_iters), start, low, high, num_trials, losses[0]
        )
        current = _rates(rehearsal.wrapper)
    suggestion = choose(trials, losses[0])
    first = next(iter(current.values()))
    suggestions = {name: suggestion * (rate / first) for name, rate in current.items()}
    return LrSearch(lrs, losses, trials, suggestion, first, suggestions)


def start_rate(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate between the steepest descent of a range test and its lowest loss.

    Args:
        lrs: rates of a range test.
        losses: smoothed losses.
    """
    lowest = min(range(len(losses)), key=losses.__getitem__)
    slopes = [losses[index + 1] - losses[index] for index in range(lowest)] or [0.0]
    steepest = min(range(len(slopes)), key=slopes.__getitem__)
    return math.sqrt(lrs[steepest] * lrs[lowest])


def choose(trials: Sequence[tuple[float, float]], first: float) -> float:
    """The rate where the losses of short trainings, smoothed over a factor of 2 in the rate, are lowest.

    A single training ends low by chance, and its neighbours do not; the smoothed minimum also keeps a distance to rates that
    diverge. Losses are compared by their logarithms, or as they are where one is not above 0.

    Args:
        trials: rates, in rising order, and losses.
        first: loss before the training; a training that ended above it counts as if it ended there.

    Raises:
        TuneError: all trainings diverged.
    """
    if not any(math.isfinite(loss) for _, loss in trials):
        raise TuneError("the loss diverged in every short training: look at the data, the model and the loss")
    worst = max(first, min(loss for _, loss in trials if math.isfinite(loss)))
    losses = [min(loss, worst) if math.isfinite(loss) else worst for _, loss in trials]
    if min(losses) >= 0 and worst > 0:
        losses = [math.log(max(loss, _LOWEST_SHARE * worst)) for loss in losses]
    positions = [math.log(rate) for rate, _ in trials]
    count = max(round((positions[-1] - positions[0]) / _RESOLUTION), 1)
    points = [positions[0] + (positions[-1] - positions[0]) * index / count for index in range(count + 1)]
    curve = [_on_segments(positions, losses, point) for point in points]
    return math.exp(min(points, key=lambda point: _smoothed(points, curve, point)))


def _on_segments(positions: Sequence[float], values: Sequence[float], point: float) -> float:
    """The value at a point of the straight lines between neighbouring values."""
    right = min(max(bisect.bisect_left(positions, point), 1), len(positions) - 1)
    left = right - 1
    if right < 1 or positions[right] == positions[left]:
        return values[0]
    share = min(max((point - positions[left]) / (positions[right] - positions[left]), 0.0), 1.0)
    return values[left] + share * (values[right] - values[left])


def _smoothed(points: Sequence[float], curve: Sequence[float], centre: float) -> float:
    """The mean of a curve with the weights of a normal distribution around a point."""
    weights = [math.exp(-0.5 * ((point - centre) / _WIDTH) ** 2) for point in points]
    return math.fsum(weight * value for weight, value in zip(weights, curve, strict=True)) / math.fsum(weights)


def search(
    train: Callable[[float], float], start: float, low: float, high: float, most: int, first: float
) -> list[tuple[float, float]]:
    """Trainings at rates that are a factor of 3 apart, until two higher and two lower rates than the best are worse.

    The last two are between the best and its neighbours. A training that lowered the loss by less than 5 % learned nothing
    and counts as diverged: at rates far too high many losses stay at that of a guess.

    Args:
        train: gives the loss of a training at a rate.
        start: the first rate.
        low: lowest rate.
        high: highest rate.
        most: trainings before the last two.
        first: loss before the training.

    Returns:
        Pairs of a rate and its loss, by rate.
    """
    trials = [(start, train(start))]

    def rank(trial: tuple[float, float]) -> float:
        has_learned = math.isfinite(trial[1]) and trial[1] < first - _LEARNED * abs(first)
        return trial[1] if has_learned else math.inf

    while len(trials) < most:
        best = min(range(len(trials)), key=lambda index: rank(trials[index]))
        has_learned = math.isfinite(rank(trials[best]))
        if not has_learned:  # look on both sides of the start
            best = next(index for index, (rate, _) in enumerate(trials) if rate == start)
        above, below = len(trials) - 1 - best, best
        up, down = trials[-1][0] * _FACTOR, trials[0][0] / _FACTOR
        last = rank(trials[-1]) if has_learned else trials[-1][1]
        can_rise = up <= high and math.isfinite(last) and not (has_learned and above >= _WORSE)
        can_fall = down >= low and not (has_learned and below >= _WORSE)
        if can_rise and (above <= below or not can_fall):
            trials.append((up, train(up)))
        elif can_fall:
            trials.insert(0, (down, train(down)))
        else:
            break
    centre = min(trials, key=lambda trial: (rank(trial), trial[1]))[0]
    rates = [centre / math.sqrt(_FACTOR), centre * math.sqrt(_FACTOR)]
    return sorted([*trials, *((rate, train(rate)) for rate in rates if low <= rate <= high)])


def _range_test(rehearsal: Rehearsal, low: float, high: float, count: int) -> tuple[list[float], list[float]]:
    model, wrapper = rehearsal.fresh_parts()
    data = batches(rehearsal.loader())
    lrs: list[float] = []
    losses: list[float] = []
    average = 0.0
    for index in range(count):
        rate = low * (high / low) ** (index / (count - 1))
        loss = _step(model, wrapper, data, rate)
        if not math.isfinite(loss):
            break
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smooth = average / (1 - _SMOOTHING ** (index + 1))
        lrs.append(rate)
        losses.append(smooth)
        lowest, first = min(losses), losses[0]
        if smooth > lowest + _DIVERGED * max(abs(first - lowest), abs(lowest) * 0.25) and index > 5:
            break
    if len(lrs) < 3:
        raise TuneError(
            f"the loss is not finite at a learning rate of {low:g}: look at the data, the model and the loss"
        )
    return lrs, losses


def _short_training(rehearsal: Rehearsal, rate: float, count: int) -> float:
    """The loss on held-out samples after a training at one rate.

    Without held-out samples, the mean training loss of the last quarter.
    """
    model, wrapper = rehearsal.fresh_parts()
    training, held_out = rehearsal.divided_loaders() if _has_plain_loss(model, wrapper) else (rehearsal.loader(), None)
    data = batches(training)
    losses: list[float] = []
    for _ in range(count):
        losses.append(_step(model, wrapper, data, rate))
        if not math.isfinite(losses[-1]):
            return math.inf
    if held_out is not None:
        return _held_out_loss(model, held_out)
    tail = losses[-max(count // 4, 1) :]
    return math.fsum(tail) / len(tail)


def _has_plain_loss(model: Any, wrapper: Any) -> bool:
    """Whether a training step is that of the base class, which takes one loss from ``forward(mode="loss")``."""
    from eng.model import BaseModel

    return getattr(type(model), "train_step", None) is BaseModel.train_step and not hasattr(wrapper, "items")


@torch.no_grad()
def _held_out_loss(model: Any, loader: Any) -> float:
    """The mean loss over the samples of a loader; infinite where it is not finite."""
    model.eval()
    total, count, left = 0.0, 0, len(loader.sampler)
    for batch in loader:
        size = min(loader.batch_size, left - count)
        parsed, _ = model.parse_losses(model._run_forward(model.data_preprocessor(batch, False), mode="loss"))  # noqa: SLF001  # as BaseModel.train_step does
        total, count = total + size * float(parsed), count + size
    return total / count if math.isfinite(total) else math.inf


def _step(model: Any, wrapper: Any, data: Any, rate: float) -> float:
    """One update at a rate; the loss before it."""
    _set_rate(wrapper, rate)
    losses = []
    for _ in range(max(getattr(part, "accumulative_counts", 1) for part in _parts(wrapper).values())):
        model.train()
        variables = model.train_step(next(data), optim_wrapper=wrapper)
        loss = variables.get("loss")
        if loss is None:  # several optimizers: each has a loss of its own
            loss = sum(value for name, value in variables.items() if "loss" in name)
        losses.append(float(torch.as_tensor(loss)))
    return math.fsum(losses) / len(losses)


def _parts(wrapper: Any) -> dict[str, Any]:
    """Optimizer wrappers by name; a single one has the name ``""``."""
    return dict(wrapper.items()) if hasattr(wrapper, "items") else {"": wrapper}


def _rates(wrapper: Any) -> dict[str, float]:
    """The rate of each optimizer, as its config gives it."""
    return {name: float(part.optimizer.defaults["lr"]) for name, part in _parts(wrapper).items()}


def _set_rate(wrapper: Any, rate: float) -> None:
    """Gives all parameter groups rates in the ratios that they had."""
    first = next(iter(_rates(wrapper).values()))
    for part in _parts(wrapper).values():
        for group in part.optimizer.param_groups:
            ratio = group.setdefault("eng_tune_ratio", float(group.get("initial_lr", group["lr"])) / first)
            group["lr"] = rate * ratio
