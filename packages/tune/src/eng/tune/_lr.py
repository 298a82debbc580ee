"""Finds the learning rate by a range test, followed by short trainings."""

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
_LEARNED = 0.05  # A training that lowers the loss by less than this share of the first loss has learned nothing.
# Standard deviation of the normal distribution that smooths losses over learning rates, in natural logarithms of the
# learning rate; 0.7 is a factor of 2.
_WIDTH = 0.7
_RESOLUTION = 0.05
_LOWEST_SHARE = 1e-4  # Losses below this share of the largest loss count as equal.


@dataclass(frozen=True)
class LrSearch:
    """Result of a search for the learning rate.

    Args:
        lrs: learning rates of the range test.
        losses: smoothed training losses at these rates; the range test stops when the loss diverges.
        trials: pairs of a learning rate and the held-out loss after a short training with it; infinite if the training
            diverged.
        suggestion: the learning rate with the lowest loss after the short trainings; the losses are smoothed over
            neighbouring learning rates.
        current: the learning rate in the config.
        suggestions: the suggested learning rate of each optimizer by name; a single optimizer has the name ``""``.
    """

    lrs: list[float]
    losses: list[float]
    trials: list[tuple[float, float]]
    suggestion: float
    current: float
    suggestions: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as a dict of plain values, for JSON."""
        return asdict(self)

    def draw(self, path: str | Path) -> None:
        """Plots the losses over the learning rates into an image file.

        Args:
            path: path of the image; its suffix selects the format.

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
    """Finds the learning rate that lowers the loss of a run most in a short training.

    A range test raises the rate step by step from ``low`` to ``high`` until the loss diverges. Then short trainings
    with different rates start from the current weights: first with the rate of the range test, then with rates that are
    larger and smaller by factors of 3 until the loss gets worse, finally with two rates beside the best one. The rate
    with the lowest loss, smoothed over neighbouring rates, is suggested.

    The loss is measured on a fifth of the training samples, which are held out. If the data cannot be divided (a
    stream, fewer than five batches, a sampler that does more than shuffle, or a model with its own ``train_step``), the
    training loss is used. Rates of parameter groups keep their ratios. The run itself is not changed.

    Args:
        run: a Runner, a config, or the path of a config.
        low: lowest learning rate.
        high: highest learning rate.
        num_iters: steps of the range test.
        num_trials: largest number of short trainings, without the final two beside the best rate.
        trial_iters: steps of each short training.

    Raises:
        TuneError: the range is empty, the run has no training data or optimizer, or the loss is not finite at the
            lowest rate.
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
    """Returns the learning rate for the first short training, given the losses of a range test.

    The result is the geometric mean of two learning rates: that at which the loss falls fastest, and that with the
    lowest loss.

    Args:
        lrs: learning rates of the range test.
        losses: smoothed training losses at these learning rates.
    """
    lowest = min(range(len(losses)), key=losses.__getitem__)
    slopes = [losses[index + 1] - losses[index] for index in range(lowest)] or [0.0]
    steepest = min(range(len(slopes)), key=slopes.__getitem__)
    return math.sqrt(lrs[steepest] * lrs[lowest])


def choose(trials: Sequence[tuple[float, float]], first: float) -> float:
    """Returns the learning rate at which the losses of the short trainings, smoothed over learning rates, are lowest.

    The smoothing covers a factor of 2 in the learning rate. It reduces the influence of a training whose loss is low by
    chance, and keeps a distance to learning rates at which the training diverges. The logarithms of the losses are
    smoothed, or the losses themselves if one of them is negative.

    Args:
        trials: pairs of a learning rate and the loss after its training, sorted by learning rate.
        first: loss before the training; a training with a higher final loss counts as if it ended with this loss.

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
    """Returns the value at `point` of the curve that connects the points (position, value) by straight lines."""
    right = min(max(bisect.bisect_left(positions, point), 1), len(positions) - 1)
    left = right - 1
    if right < 1 or positions[right] == positions[left]:
        return values[0]
    share = min(max((point - positions[left]) / (positions[right] - positions[left]), 0.0), 1.0)
    return values[left] + share * (values[right] - values[left])


def _smoothed(points: Sequence[float], curve: Sequence[float], centre: float) -> float:
    """Returns the mean of the values `curve` at the positions `points`, with Gaussian weights around `centre`."""
    weights = [math.exp(-0.5 * ((point - centre) / _WIDTH) ** 2) for point in points]
    return math.fsum(weight * value for weight, value in zip(weights, curve, strict=True)) / math.fsum(weights)


def search(
    train: Callable[[float], float], start: float, low: float, high: float, most: int, first: float
) -> list[tuple[float, float]]:
    """Runs short trainings with different learning rates, to find the range in which the loss falls most.

    From `start` on, the learning rate is multiplied or divided by 3 until the best learning rate has two higher and two
    lower ones with worse losses. Two more trainings follow with learning rates between the best one and its neighbours.
    A training that lowers the loss by less than 5 % counts as diverged, because with a far too high learning rate the
    loss often stays at the value of random guessing.

    Args:
        train: trains with a learning rate and returns the final loss.
        start: first learning rate.
        low: lowest learning rate to try.
        high: highest learning rate to try.
        most: largest number of trainings, without the final two.
        first: loss before the training.

    Returns:
        Pairs of a learning rate and the loss after its training, sorted by learning rate.
    """
    trials = [(start, train(start))]

    def rank(trial: tuple[float, float]) -> float:
        has_learned = math.isfinite(trial[1]) and trial[1] < first - _LEARNED * abs(first)
        return trial[1] if has_learned else math.inf

    while len(trials) < most:
        best = min(range(len(trials)), key=lambda index: rank(trials[index]))
        has_learned = math.isfinite(rank(trials[best]))
        # No training has lowered the loss yet, so learning rates on both sides of `start` are tried.
        if not has_learned:
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
    """Runs `count` steps with learning rates that rise from `low` to `high`; returns the rates and the smoothed losses.

    The test ends earlier if the loss is not finite or if the smoothed loss rises clearly above its minimum.

    Raises:
        TuneError: the loss is not finite within the first three steps.
    """
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
    """Trains copies of model and optimizer for `count` steps with a learning rate, and returns the held-out loss.

    If no samples can be held out, the mean training loss of the last quarter of the steps is returned; if the training
    diverges, infinity.
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
    """Whether ``forward(mode="loss")`` computes the loss on which the model trains, as `_held_out_loss` requires.

    This holds for models that use `BaseModel.train_step` and a single optimizer.
    """
    from eng.model import BaseModel

    return getattr(type(model), "train_step", None) is BaseModel.train_step and not hasattr(wrapper, "items")


@torch.no_grad()
def _held_out_loss(model: Any, loader: Any) -> float:
    """Returns the mean loss over all samples of a dataloader; infinity if the loss is not finite."""
    model.eval()
    total, count, num_samples = 0.0, 0, len(loader.sampler)
    for batch in loader:
        size = min(loader.batch_size, num_samples - count)  # The last batch may be smaller than the others.
        parsed, _ = model.parse_losses(model._run_forward(model.data_preprocessor(batch, False), mode="loss"))  # noqa: SLF001  # BaseModel.train_step calls this private method, too
        total, count = total + size * float(parsed), count + size
    return total / count if math.isfinite(total) else math.inf


def _step(model: Any, wrapper: Any, data: Any, rate: float) -> float:
    """Runs one optimizer update with a learning rate; returns the mean loss of its micro-batches, before the update."""
    _set_rate(wrapper, rate)
    losses = []
    for _ in range(max(getattr(part, "accumulative_counts", 1) for part in _parts(wrapper).values())):
        model.train()
        variables = model.train_step(next(data), optim_wrapper=wrapper)
        loss = variables.get("loss")
        if loss is None:  # A model with several optimizers returns one loss for each optimizer; their sum is used.
            loss = sum(value for name, value in variables.items() if "loss" in name)
        losses.append(float(torch.as_tensor(loss)))
    return math.fsum(losses) / len(losses)


def _parts(wrapper: Any) -> dict[str, Any]:
    """Returns the optimizer wrappers of a model by name; a single optimizer wrapper has the name ``""``."""
    return dict(wrapper.items()) if hasattr(wrapper, "items") else {"": wrapper}


def _rates(wrapper: Any) -> dict[str, float]:
    """Returns the learning rate of each optimizer as set in its config, by name of the optimizer."""
    return {name: float(part.optimizer.defaults["lr"]) for name, part in _parts(wrapper).items()}


def _set_rate(wrapper: Any, rate: float) -> None:
    """Sets the learning rate of all parameter groups.

    The first optimizer gets `rate`. A group whose initial learning rate is a multiple of that of the first optimizer
    gets the same multiple of `rate`.
    """
    first = next(iter(_rates(wrapper).values()))
    for part in _parts(wrapper).values():
        for group in part.optimizer.param_groups:
            ratio = group.setdefault("eng_tune_ratio", float(group.get("initial_lr", group["lr"])) / first)
            group["lr"] = rate * ratio
