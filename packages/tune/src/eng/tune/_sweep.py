"""The Python interface of sweeps: :func:`sweep` runs a sweep, :func:`load_sweep` reads its results."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ._controller import Controller
from ._definition import Definition, dotted, write_definition
from ._executors import Executor, LocalExecutor
from ._folder import Trial, controlling
from ._report import SweepReport, load_sweep
from ._search import Grid, OptunaSearch, Search
from ._searchers import searcher_of
from ._space import Distribution, as_space
from ._text import near_names
from .errors import SpaceError, SweepError

__all__ = ["fold_keys_of", "load_sweep", "sweep"]

logger = logging.getLogger(__name__)
_OF_EACH_TRIAL = ("work_dir", "resume")


def sweep(
    config: Any,
    space: Mapping[str, Any],
    *,
    metric: str,
    folder: str | Path | None = None,
    search: Search | None = None,
    mode: str | None = None,
    objective: str = "best",
    seed: int = 0,
    folds: int = 0,
    fold_keys: Sequence[str] = (),
    executor: Executor | None = None,
    max_failures: int | None = None,
    retry_failed: bool = False,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> SweepReport:
    """Trains a config once for each of several parameter combinations (trials) and returns the results.

    Each trial is an ordinary run with its own folder. If this process or a trial is killed, call this function again
    with the same arguments: finished trials keep their results, and unfinished ones resume from their last checkpoint.

    Args:
        config: path of a config, or an :class:`eng.config.Config`.
        space: the values to try for each dotted key of the config: a list, or :class:`Choice`, :class:`Float`,
            :class:`Int`, :class:`Normal`.
        metric: name of the validation metric to optimize.
        folder: folder of the sweep. Default: ``work_dirs/<name of the config>_sweep``.
        search: :class:`Grid` (default), :class:`RandomSearch` or :class:`OptunaSearch`.
        mode: ``"max"`` or ``"min"``; None (default) infers it from the metric's name.
        objective: whether the ``"best"`` (default) or the ``"last"`` validation of a run counts.
        seed: seed of the search, also used by runs whose config has no seed. 0 by default.
        folds: number of cross-validation folds: each parameter combination is trained once per fold, and the mean of
            the metric over the folds counts. 0 (default) trains each combination once.
        fold_keys: config keys that are set to the number of the fold; default: ``fold`` of each ``KFoldDataset``.
        executor: starts the runs. Default: one run at a time on this machine.
        max_failures: the sweep ends with an error if more trials than this fail; None (default) for no limit.
        retry_failed: whether to restart trials that failed in an earlier call. False by default. Not possible with
            Optuna, whose studies cannot change a failed trial.
        on_trial: called with every finished trial.

    Raises:
        SpaceError: the config has no such key, or an axis is empty; raised before the first trial.
        MissingMetricError: the validation of the config does not compute the metric.
        StorageError: the storage of the search cannot be used.
        SweepError: another setting is wrong, the folder contains another or a running sweep, or too many trials failed.
    """
    from eng.config import Config

    cfg = Config.fromfile(config) if isinstance(config, str | Path) else copy.deepcopy(config)
    source = str(Path(getattr(cfg, "filename", None) or "config").resolve())
    folder = Path(folder) if folder is not None else Path("work_dirs") / f"{Path(source).stem}_sweep"
    definition = Definition(
        source=source, metric=metric, mode=mode or mode_of(metric), space=as_space(space), search=search or Grid(),
        objective=objective, seed=seed, folds=folds, fold_keys=tuple(fold_keys) or (fold_keys_of(cfg) if folds else ()),
    )  # fmt: skip
    _check_definition(definition, cfg)
    if max_failures is not None and max_failures < 0:
        raise SweepError(f"max_failures must be 0 or more, got {max_failures}")
    if retry_failed and isinstance(definition.search, OptunaSearch):
        raise SweepError(
            "Optuna keeps a failed trial as failed, so it cannot be tried again; ask for more trials instead"
        )
    settle_seed(cfg, seed)
    settings = {"folder": folder, "seed": seed, "mode": definition.mode}
    _check_search(definition, settings)
    with controlling(folder):
        definition = write_definition(folder, definition, cfg)
        searcher = searcher_of(definition.search, definition.space, owner=definition.owner, **settings)  # type: ignore[arg-type]  # the values of the dict have several types
        controller = Controller(
            folder, definition, searcher, executor or LocalExecutor(), max_failures, on_trial, retry_failed
        )
        controller.run()
    report = load_sweep(folder)
    if report.best is not None:
        report.write_best()
    return report


def _check_search(definition: Definition, settings: Mapping[str, Any]) -> None:
    """Checks the settings of a search before the folder of the sweep is created, so that a mistake leaves no files.

    Raises:
        SpaceError: the search cannot use one of the varied config keys.
        SweepError: a setting of the search is wrong.
    """
    if isinstance(definition.search, OptunaSearch):
        from ._optuna import check_search

        check_search(definition.search, definition.space)
    else:
        searcher_of(definition.search, definition.space, owner="", **settings)


def _check_definition(definition: Definition, cfg: Any) -> None:
    """Checks the settings of a sweep before any file is written.

    Raises:
        SpaceError: no config key is varied, or the config does not have one of the keys.
        SweepError: another setting is wrong, or the config has no validation.
    """
    axes, folds = definition.space, definition.folds
    if not axes:
        raise SpaceError("the sweep has no axis: give at least one KEY=VALUES")
    if definition.objective not in ("best", "last"):
        raise SweepError(f"objective must be best or last, got {definition.objective!r}")
    if folds == 1 or folds < 0:
        raise SweepError(f"folds must be 2 or more (0 for none), got {folds}")
    if any(cfg.get(key) is None for key in ("val_dataloader", "val_cfg")):
        raise SweepError(
            "the config has no validation (val_dataloader, val_cfg, val_evaluator), so that nothing gives "
            f"{definition.metric!r}"
        )
    examples = {key: _example(axis) for key, axis in axes.items()}
    check_keys(cfg, {**examples, **dict.fromkeys(definition.fold_keys, 0)})
    if folds and not definition.fold_keys:
        raise SweepError(
            "folds need a KFoldDataset in the config, or the keys that take the number of the fold (--fold-key)"
        )
    if definition.mode not in ("max", "min"):
        raise SweepError(f"mode must be max or min, got {definition.mode!r}")


def _example(axis: Distribution) -> Any:
    """Returns a value of an axis (varied config key); `check_keys` tests with it whether the config accepts the key."""
    values = getattr(axis, "values", None)
    return values[0] if values is not None else getattr(axis, "low", None) or getattr(axis, "mean", 0)


def mode_of(metric: str) -> str:
    """Infers from the name of a metric whether larger (``"max"``) or smaller values (``"min"``) are better.

    Raises:
        SweepError: the name is not known.
    """
    from eng.hooks import EarlyStoppingHook

    try:
        return "max" if EarlyStoppingHook(metric).rule == "greater" else "min"
    except ValueError as error:
        raise SweepError(
            f"whether {metric!r} is better when it is greater is not known: give --mode max or min"
        ) from error


def settle_seed(cfg: Any, seed: int) -> None:
    """Sets the random seed in a config that sets none: trials with random seeds could not be compared or repeated."""
    if (cfg.get("randomness") or {}).get("seed") is None:
        cfg.randomness = {**(cfg.get("randomness") or {}), "seed": seed}


def fold_keys_of(cfg: Any) -> tuple[str, ...]:
    """Returns the dotted key of the argument ``fold`` of each ``KFoldDataset`` in a config."""
    return tuple(f"{path}.fold" for path, node in _nodes(cfg) if _type_name(node) == "KFoldDataset")


def _type_name(node: Mapping[str, Any]) -> str:
    type_ = node.get("type")
    return type_.rpartition(".")[2] if isinstance(type_, str) else getattr(type_, "__name__", "")


def _nodes(cfg: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the dotted key and the value of every mapping inside a config, such as ``model`` and ``model.head``."""
    if hasattr(cfg, "items"):  # `Config` does not derive from Mapping, so the code looks for the method `items`.
        if path:
            yield path, cfg
        items: Any = cfg.items()
    elif isinstance(cfg, (list, tuple)):
        items = enumerate(cfg)
    else:
        return
    for key, value in items:
        yield from _nodes(value, f"{path}.{key}" if path else str(key))


def check_keys(cfg: Any, values: Mapping[str, Any]) -> None:
    """Checks that a config has the keys that a sweep varies.

    A key that the config lacks is allowed if the class that the config builds there accepts the key as an argument.

    Args:
        cfg: the config.
        values: an example value for each key that the sweep varies.

    Raises:
        SpaceError: a key neither exists nor is an argument of a class; the message lists similar keys.
    """
    known = set(dotted(cfg))
    _check_roots(cfg, values, known)
    unknown = {key: value for key, value in values.items() if key not in known}
    if not unknown:
        return
    before = _findings(cfg)
    for key, value in unknown.items():
        changed = copy.deepcopy(cfg)
        try:
            changed.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError) as error:
            raise SpaceError(f"the config has no key {key!r}{_near_keys(key, known)} ({error})") from error
        new = sorted(_findings(changed) - before)
        if new:
            raise SpaceError(f"the config has no key {key!r}{_near_keys(key, known)} (eng check would say: {new[0]})")


def _check_roots(cfg: Any, keys: Iterable[str], known: set[str]) -> None:
    """Checks that the first part of each key, such as ``model`` in ``model.depth``, is a setting of a run.

    Raises:
        SpaceError: neither the config nor the Runner has such a setting, or the sweep sets it for each trial itself.
    """
    from eng.runner.settings import RunnerSettings

    settings = {setting.name for setting in fields(RunnerSettings)}
    for key in keys:
        root = key.partition(".")[0]
        if key in _OF_EACH_TRIAL:
            raise SpaceError(f"{key} is no axis: the sweep gives each trial its own")
        if root in settings or cfg.get("runner_type"):
            continue
        hint = _near_roots(key, known | settings)
        if root not in known:
            raise SpaceError(f"the config has no key {key!r}{hint}")
        logger.warning(
            "%s: a variable of the config changes nothing after the file is read, unless your code reads runner.cfg%s",
            key,
            hint,
        )


def _near_roots(key: str, known: set[str]) -> str:
    """Returns the end of an error message that suggests known keys: those that end with `key`, or similar spellings."""
    same_end = sorted(name for name in known if name.endswith(f".{key}"))
    if same_end:
        return f"; did you mean {' or '.join(same_end[:3])}?"
    return near_names(key, sorted(known), all_if_none=False)


def _near_keys(key: str, known: set[str]) -> str:
    """Returns the end of an error message that suggests known keys: similar spellings, or keys of the same mapping."""
    hint = near_names(key, sorted(known), all_if_none=False)
    parent = key.rpartition(".")[0]
    neighbours = [name for name in sorted(known) if name.rpartition(".")[0] == parent]
    return hint or (near_names(key, neighbours) if neighbours else "")


def _findings(cfg: Any) -> set[str]:
    from eng.registry import check

    return {f"{finding.path}: {finding.message}" for finding in check(cfg)}
