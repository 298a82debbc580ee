"""Trains one run of a sweep in a separate process, which is started as ``python -m eng.tune._trial FOLDER``."""

from __future__ import annotations

import logging
import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._definition import Definition, open_definition
from ._folder import CONFIG, Result, Run
from ._search import OptunaSearch
from .errors import MissingMetricError

BUSY = 3
INTERRUPTED = 130

logger = logging.getLogger(__name__)


def main(folder: str) -> int:
    """Trains or resumes the run of a sweep that `folder` describes, and stores its result in this folder.

    Args:
        folder: folder of the run.

    Returns:
        The exit status: 0 if the folder has a result, 3 if another process is training the run, any other number if
        the run was interrupted and can be resumed.
    """
    run = Run(Path(folder).resolve())
    with run.occupied() as is_ours:
        if not is_ours:
            return BUSY
        if run.result is not None:
            return 0
        return _train_and_store(run)


def _train_and_store(run: Run) -> int:
    """Trains a run and stores its result, or the failure, in its folder; returns the exit status of the process.

    An interrupted run stores nothing, so that it can be resumed; its exit status is not 0.
    """
    from eng.runner import RunInterrupted

    sweep_folder = next(parent for parent in run.folder.parents if parent.name == "trials").parent
    definition = open_definition(sweep_folder)
    try:
        result = train(run, sweep_folder, definition)
    except RunInterrupted as stop:
        return int(stop.code or INTERRUPTED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except MissingMetricError as error:
        result = Result("failed", error=str(error), is_fatal=True)
    except Exception as error:  # noqa: BLE001  # A failed trial must not end the sweep.
        traceback.print_exc()
        result = Result("failed", error=f"{type(error).__name__}: {error}".splitlines()[0])
    run.finish(result)
    return 0


def train(run: Run, sweep_folder: Path, definition: Definition) -> Result:
    """Trains a run of a sweep and returns its result.

    Args:
        run: the run.
        sweep_folder: folder of the sweep.
        definition: settings of the sweep.

    Raises:
        MissingMetricError: the validation of the config does not compute the metric, or the run ended without a
            validation.
    """
    from eng.registry import RUNNERS
    from eng.runner import Runner

    from ._objective import ObjectiveHook

    cfg = config_of(run, sweep_folder)
    runner: Any = RUNNERS.build(cfg) if cfg.get("runner_type") else Runner.from_cfg(cfg)
    hook = ObjectiveHook(definition.metric, _reporter(run, sweep_folder, definition))
    runner.register_hook(hook)
    runner.train()
    if not hook.values:
        raise MissingMetricError(
            f"the run ended without a validation, so that nothing gives {definition.metric!r}: look at val_begin, "
            "val_interval and the length of the training"
        )
    return result_of(hook.values, hook.metrics, definition, pruned=hook.pruned)


def config_of(run: Run, sweep_folder: Path) -> Any:
    """Returns the config of a run, set to resume from the newest checkpoint in the run's folder if there is one.

    Unless the config sets ``preemption``, SIGINT, SIGTERM and SIGUSR1 make the run save a checkpoint and end.
    """
    from eng.config import Config
    from eng.runner import find_latest_checkpoint

    cfg = Config.fromfile(sweep_folder / CONFIG)
    cfg.merge_from_dict(run.options)
    cfg.work_dir = str(run.folder)
    if find_latest_checkpoint(str(run.folder)) is not None:
        cfg.resume, cfg.load_from = True, None
    cfg.setdefault("preemption", {"signals": ("SIGINT", "SIGTERM", "SIGUSR1")})
    return cfg


def result_of(
    values: list[float], metrics: list[dict[str, Any]], definition: Definition, *, pruned: bool = False
) -> Result:
    """Computes the result of a run from its validations.

    The run has failed if no validation gave a finite metric, or if the last validation counts and gave none.

    Args:
        values: value of the optimized metric in every validation.
        metrics: all metrics of the same validations.
        definition: settings of the sweep, which say whether the best or the last validation counts.
        pruned: whether a pruner ended the run early.
    """
    finite = [index for index, value in enumerate(values) if math.isfinite(value)]
    if not finite or (definition.objective == "last" and finite[-1] != len(values) - 1):
        return Result("failed", values=values, error=f"{definition.metric} is {values[-1]}")
    sign = 1 if definition.mode == "max" else -1
    chosen = finite[-1] if definition.objective == "last" else max(finite, key=lambda index: sign * values[index])
    return Result("pruned" if pruned else "complete", values[chosen], list(values), dict(metrics[chosen]))


def _reporter(run: Run, sweep_folder: Path, definition: Definition) -> Callable[[int, float], bool] | None:
    """Returns the function that reports a validation's metric to Optuna, so that a pruner can end the run early.

    The function returns whether the pruner wants the run to end. Without a pruner, and with cross-validation folds,
    the result is None instead of a function.
    """
    search = definition.search
    if not isinstance(search, OptunaSearch) or search.pruner is None or definition.folds:
        return None
    from ._optuna import build_pruner, load_trial, storage_url, study_name, telling_storage_errors

    url = storage_url(search, sweep_folder)
    study, trial = load_trial(url, study_name(search, sweep_folder), run.point["optuna"])
    study.pruner = build_pruner(search)

    def report(step: int, value: float) -> bool:
        with telling_storage_errors(url):
            trial.report(value, step)
            return bool(trial.should_prune())

    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
