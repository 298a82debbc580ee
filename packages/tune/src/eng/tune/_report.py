"""The results of a sweep: ranked trials, importance of each axis, and the best config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eng.logging.tables import table_lines

from ._definition import Definition, open_definition, trials_in
from ._folder import CONFIG, Trial, write_config
from ._page import render_sweep
from ._text import short_names, shown
from .errors import SweepError

__all__ = ["SweepReport", "load_sweep"]

_NUM_BINS = 4


@dataclass(frozen=True)
class SweepReport:
    """The results of a sweep.

    Args:
        folder: folder of the sweep.
        definition: settings of the sweep.
        trials: the trials by number.
    """

    folder: Path
    definition: Definition
    trials: Mapping[int, Trial]

    @property
    def ranked(self) -> list[Trial]:
        """The trials in order: complete ones from the best to the worst, then pruned, failed and open ones by number."""
        sign = -1.0 if self.definition.mode == "max" else 1.0
        order = ("complete", "pruned", "failed", "open")

        def key(trial: Trial) -> tuple[int, float, int]:
            value = trial.value if trial.state == "complete" else None
            return order.index(trial.state), sign * value if value is not None else 0.0, trial.number

        return sorted(self.trials.values(), key=key)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value; None if no trial is complete."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].state == "complete" else None

    @property
    def importance(self) -> dict[str, float]:
        """For each varied config key, the share (0 to 1) of the variance of the sweep's metric that the key explains.

        The trials are grouped by the value of the key, and the variance between the groups is divided by the total
        variance. Values of a range are divided into four groups with equally many trials. A key with a single value
        has 0.
        """
        complete = [trial for trial in self.trials.values() if trial.state == "complete" and trial.value is not None]
        values = [float(trial.value) for trial in complete if trial.value is not None]
        return {
            key: explained_share([trial.params[key] for trial in complete], values) for key in self.definition.space
        }

    def best_config(self) -> Any:
        """Returns the config of the best trial, without ``work_dir``, so that a new training gets a folder of its own.

        Raises:
            SweepError: no trial is complete.
        """
        from eng.config import Config

        best = self.best
        if best is None:
            raise SweepError(f"no trial of {self.folder} is complete")
        cfg = Config.fromfile(self.folder / CONFIG)
        cfg.merge_from_dict(best.params)
        cfg.pop("work_dir", None)
        return cfg

    def write_best(self, path: str | Path | None = None) -> Path:
        """Writes the config of the best trial to a file and returns its path.

        Args:
            path: path of the file. Default: ``best.py`` in the folder of the sweep.
        """
        target = Path(path) if path is not None else self.folder / "best.py"
        write_config(target, self.best_config())
        return target

    def write_page(self, path: str | Path | None = None) -> Path:
        """Writes an HTML page with the results of the sweep and returns the path of the page.

        The page has a parallel-coordinates plot, the importance of each varied config key and a table of the trials.

        Args:
            path: path of the page. Default: ``sweep.html`` in the folder of the sweep.
        """
        target = Path(path) if path is not None else self.folder / "sweep.html"
        target.write_text(
            render_sweep(self.folder.name, self.definition, self.ranked, self.importance), encoding="utf-8"
        )
        return target

    def rows(self) -> list[dict[str, Any]]:
        """Returns a dict of plain values for each trial, in the order of :attr:`ranked`."""
        return [
            {
                "trial": trial.number, "state": trial.state, "value": trial.value, "params": trial.params,
                "error": trial.error, "folders": [str(run.folder) for run in trial.runs],
            }
            for trial in self.ranked
        ]  # fmt: skip


def load_sweep(folder: str | Path) -> SweepReport:
    """Reads the results of a sweep from its folder, during the sweep or after its end.

    Args:
        folder: folder of the sweep.

    Raises:
        SweepError: the folder contains no sweep.
    """
    folder = Path(folder)
    definition = open_definition(folder)
    return SweepReport(folder, definition, trials_in(folder, definition))


def explained_share(params: Sequence[Any], values: Sequence[float]) -> float:
    """Returns the share (0 to 1) of the variance of ``values`` that one parameter explains (the correlation ratio).

    The trials are grouped by the parameter; the result is the variance between groups divided by the total variance.

    Args:
        params: value of the parameter in each trial; more than four different numbers are divided into four groups.
        values: value of the optimized metric in each trial.
    """
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    total = math.fsum((value - mean) ** 2 for value in values)
    if total == 0:
        return 0.0
    groups: dict[Any, list[float]] = {}
    for name, value in zip(_group_by_value(params), values, strict=True):
        groups.setdefault(name, []).append(value)
    between = math.fsum(len(group) * (math.fsum(group) / len(group) - mean) ** 2 for group in groups.values())
    return min(between / total, 1.0)


def _group_by_value(params: Sequence[Any]) -> list[Any]:
    """Returns, for each trial, the group that it belongs to by the value of one parameter.

    Trials with equal values form a group. More than four different numbers are sorted and divided into four groups of
    equal size.
    """
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in params)
    if not are_numbers or len(set(params)) <= _NUM_BINS:
        return [repr(value) for value in params]
    order = sorted(range(len(params)), key=lambda index: params[index])
    groups = [0] * len(params)
    for rank, index in enumerate(order):
        groups[index] = rank * _NUM_BINS // len(params)
    return groups


def table(report: SweepReport) -> list[str]:
    """Returns a text table of the trials, one line per trial."""
    keys = list(report.definition.space)
    names = short_names(keys)
    rows = [["trial", "state", report.definition.metric, *names]]
    for trial in report.ranked:
        value = "-" if trial.value is None else f"{trial.value:.6g}"
        rows.append([f"{trial.number:04d}", trial.state, value, *(shown(trial.params[key]) for key in keys)])
    return table_lines(rows)
