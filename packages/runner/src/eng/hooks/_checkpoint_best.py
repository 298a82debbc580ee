"""Tracks the best score of each followed metric, and the checkpoint that reached it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eng.logging.errors import UsageError
from eng.logging.metric_values import MetricReader
from eng.logging.words import counted

from ._checkpoint_files import RunFiles
from ._rules import check_rule, infer_rule, is_better
from .runtime_info_hook import is_scalar

AUTO = "auto"


class Best:
    """The best score of each followed validation metric, and the path of the checkpoint that reached the score.

    Args:
        metrics: names of the metrics to follow; ``["auto"]`` follows the first metric of the first validation.
        rule: ``"greater"`` or ``"less"``, the values of a metric that are better. One rule for all metrics, or a list
            with a rule per metric; None infers the rule of each metric from its name.
        greater_keys: names of metrics for which a greater value is better; None uses the built-in names.
        less_keys: names of metrics for which a smaller value is better; None uses the built-in names.
        reader: converts a validation's metrics to Python numbers, and warns about missing metrics.

    Raises:
        ValueError: a metric is named twice, ``"auto"`` is combined with names of metrics, the number of rules is
            neither 1 nor the number of metrics, or a rule is unknown or cannot be inferred.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        rule: str | Sequence[str] | None,
        greater_keys: Sequence[str] | None,
        less_keys: Sequence[str] | None,
        reader: MetricReader,
    ) -> None:
        self.metrics = list(metrics)
        self._greater_keys, self._less_keys = greater_keys, less_keys
        if isinstance(rule, str) or rule is None:
            self._auto_rule = rule
        else:
            self._auto_rule = rule[0]
        self._reader = reader
        self.rules = self._rules_of(rule)
        self.scores: dict[str, float] = {}
        self.paths: dict[str, str] = {}
        self.waiting: dict[str, float] = {}

    @property
    def is_auto(self) -> bool:
        """Whether ``save_best`` is ``"auto"``, which follows the first metric of the first validation."""
        return self.metrics == [AUTO]

    @property
    def key_indicators(self) -> list[str]:
        """Metrics whose best checkpoint is kept; ``["auto"]`` until the first validation."""
        return list(self.rules or self.metrics)

    def suffix(self, metric: str) -> str:
        """Returns the suffix of a metric's keys in the message hub: ``_<metric>``; "" for a single metric."""
        if len(self.metrics) == 1:
            return ""
        return f"_{metric}"

    def observe(self, values: Mapping[str, Any]) -> list[str]:
        """Stores the scores of a validation that are better than all earlier scores of their metric.

        Returns the names of the metrics that improved. ``waiting`` contains their scores until :meth:`record` is called
        for the checkpoint of the metric.

        Args:
            values: metrics of the validation, by name.
        """
        if self.is_auto and not self.rules:
            self._follow(_first_number(values))
        scores = {metric: self._reader.read(values, metric) for metric in self.rules}
        self.waiting = {
            metric: float(score)
            for metric, score in scores.items()
            if score is not None and self._is_better(metric, score)
        }
        self.scores.update(self.waiting)
        return list(self.waiting)

    def record(self, metric: str, path: str) -> str | None:
        """Stores the path of a metric's best checkpoint, which is about to be written, and returns the previous path."""
        previous = self.paths.get(metric)
        self.paths[metric] = path
        self.waiting.pop(metric, None)
        return previous

    def names(self, files: RunFiles) -> set[str]:
        """Returns the file names of the best checkpoints, except for paths that do not end with a name of this run."""
        return {name for name in map(files.name_of, self.paths.values()) if name is not None}

    def state_dict(self) -> dict[str, Any]:
        """Returns best scores and checkpoint paths by metric, and the scores whose checkpoints are not written yet."""
        return {"scores": dict(self.scores), "paths": dict(self.paths), "waiting": dict(self.waiting)}

    def load_state_dict(self, state: Mapping[str, Any], files: RunFiles) -> None:
        """Restores the best scores and checkpoint paths of a saved run.

        Metrics that this run does not follow are left out, and so are paths that do not end with a file name of this
        run.
        """
        scores, paths = _numbers(state.get("scores")), _items(state.get("paths"))
        located = {metric: files.located(paths.get(metric)) for metric in scores}
        known = {metric: path for metric, path in located.items() if path is not None}
        waiting = _numbers(state.get("waiting"))
        if self.is_auto:
            followed = next((metric for metric in [*known, *waiting] if metric != AUTO), None)
            if followed is not None:
                self._follow(followed)
        self.paths = {metric: path for metric, path in known.items() if metric in self.key_indicators}
        self.waiting = {metric: score for metric, score in waiting.items() if metric in self.rules}
        self.scores = {**{metric: scores[metric] for metric in self.paths}, **self.waiting}

    def state_of_message_hub(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the state for :meth:`load_state_dict` from a checkpoint of MMEngine or eng 1.0.

        These versions stored the best scores and checkpoint paths in the message hub.

        Args:
            info: the ``runtime_info`` of the message hub.
        """
        scores, paths = {}, {}
        for name in self.metrics:
            metric = name
            if name == AUTO:
                metric = info.get("best_metric", name)
            scores[metric] = info.get(f"best_score{self.suffix(name)}")
            paths[metric] = info.get(f"best_ckpt{self.suffix(name)}")
        return {"scores": scores, "paths": paths, "waiting": info.get("best_to_save")}

    def _is_better(self, metric: str, score: float) -> bool:
        """Whether a score is better than the best earlier score of its metric; False for NaN."""
        if math.isnan(score):
            return False
        best = self.scores.get(metric)
        return best is None or is_better(score, best, self.rules[metric])

    def _follow(self, metric: str) -> None:
        self.rules = {metric: self._rule_for(metric, self._auto_rule)}

    def _rules_of(self, rule: str | Sequence[str] | None) -> dict[str, str]:
        """Returns the rule of each metric in ``save_best``: the user's rule, or one inferred from the metric's name."""
        if len(set(self.metrics)) != len(self.metrics):
            raise UsageError(f"save_best names a metric twice: {self.metrics}")
        if self.is_auto or not self.metrics:
            return {}
        if AUTO in self.metrics:
            raise UsageError(f"save_best='auto' stands alone, got {self.metrics}")
        rules: list[str | None] = [None]
        if rule:
            if isinstance(rule, str):
                rules = [rule]
            else:
                rules = list(rule)
        if len(rules) not in (1, len(self.metrics)):
            raise UsageError(
                f"{counted(len(self.metrics), 'metric')} in save_best and {counted(len(rules), 'rule')}: give one for each or one"
            )
        if len(rules) == 1:
            rules = rules * len(self.metrics)
        return {metric: self._rule_for(metric, choice) for metric, choice in zip(self.metrics, rules, strict=True)}

    def _rule_for(self, metric: str, choice: str | None) -> str:
        if choice:
            return check_rule(choice)
        return infer_rule(metric, self._greater_keys, self._less_keys)


def _first_number(values: Mapping[str, Any]) -> str:
    """Returns the name of the first metric that is a single number; the first name if no metric is a single number."""
    return next((name for name, value in values.items() if is_scalar(value)), next(iter(values)))


def _items(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {key: item for key, item in value.items() if isinstance(key, str)}


def _numbers(value: Any) -> dict[str, float]:
    return {key: float(item) for key, item in _items(value).items() if isinstance(item, int | float)}
