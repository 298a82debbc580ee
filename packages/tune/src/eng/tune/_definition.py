"""The settings of a sweep (config, search space, search and objective), stored as a file in its folder."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ._folder import CONFIG, DEFINITION, Run, Trial, damaged, read_json, write_config, write_json
from ._search import Grid, OptunaSearch, Search, search_from_json, search_to_json
from ._space import Choice, Distribution, described, from_json, to_json
from .errors import SweepError

__all__ = ["Definition", "dotted", "open_definition", "trials_in", "write_definition"]

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Definition:
    """The settings of a sweep.

    Args:
        source: path of the config from which the sweep was started.
        metric: name of the validation metric to optimize.
        mode: ``"max"`` or ``"min"``.
        space: the values or distribution of each varied config key (an axis of the search space).
        search: how the values of each trial are chosen from ``space``: a grid, at random or by Optuna.
        objective: whether the ``"best"`` or the ``"last"`` validation of a run counts.
        seed: seed of the search, also used by runs whose config has no seed.
        folds: number of cross-validation folds, one run each; 0 for a single run without folds.
        fold_keys: config keys that are set to the number of the fold.
        owner: unique name of this sweep in an Optuna storage that several sweeps share.
    """

    source: str
    metric: str
    mode: str
    space: dict[str, Distribution]
    search: Search = field(default_factory=Grid)
    objective: str = "best"
    seed: int = 0
    folds: int = 0
    fold_keys: tuple[str, ...] = ()
    owner: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a dict of plain values, for JSON."""
        data = {**vars(self), "format": 1, "search": search_to_json(self.search), "fold_keys": list(self.fold_keys)}
        data["space"] = {key: to_json(axis) for key, axis in self.space.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Definition:
        """Creates a definition from the dict that :meth:`to_json` returned."""
        settings = {key: value for key, value in data.items() if key != "format"}
        settings["space"] = {key: from_json(axis) for key, axis in data["space"].items()}
        settings["search"] = search_from_json(data["search"])
        settings["fold_keys"] = tuple(data["fold_keys"])
        return cls(**settings)

    def trial(self, folder: Path, number: int, params: Mapping[str, Any]) -> Trial:
        """Returns the object for a trial: its number, its parameter values and its runs; no file is written.

        Args:
            folder: folder of the sweep.
            number: number of the trial.
            params: the value of each varied config key in this trial.
        """
        trial_folder = folder / "trials" / f"{number:04d}"
        runs = [Run(trial_folder / f"fold_{fold}") for fold in range(self.folds)] if self.folds else [Run(trial_folder)]
        return Trial(number, dict(params), tuple(runs))


def open_definition(folder: Path) -> Definition:
    """Reads the settings of a sweep from its folder.

    The folder of the config from which the sweep was started is appended to ``sys.path``, because ``custom_imports`` of
    the config may name modules in this folder.

    Raises:
        SweepError: the folder contains no sweep.
    """
    data = read_json(folder / DEFINITION)
    if data is None:
        raise SweepError(f"{folder} holds no sweep (no {DEFINITION}); eng sweep CONFIG --dir {folder} starts one")
    definition = _from_file(folder / DEFINITION, data)
    project = str(Path(definition.source).resolve().parent)
    if project not in sys.path:
        sys.path.append(project)
    return definition


def write_definition(folder: Path, definition: Definition, config: Any) -> Definition:
    """Stores the settings and the config of a new sweep; if the folder contains a sweep, checks that both are the same.

    Args:
        folder: folder of the sweep; this process must hold its controller lock.
        definition: the requested settings.
        config: the config of the trials.

    Returns:
        The settings that are now in the folder; the number of trials may differ from an earlier call.

    Raises:
        SweepError: the folder contains a different sweep; the message lists the differences.
    """
    saved = read_json(folder / DEFINITION)
    known = None if saved is None else _from_file(folder / DEFINITION, saved)
    # If the folder contains a sweep without trials, that sweep failed at its start, for example because of a wrong
    # --storage. Its settings are overwritten.
    if known is None or not trials_in(folder, known):
        owner = f"{socket.gethostname()}:{folder.resolve()}"
        definition = replace(_with_study(definition, folder.resolve().name), owner=owner)
        write_config(folder / CONFIG, config)
        write_json(folder / DEFINITION, definition.to_json())
        return definition
    if not (folder / CONFIG).exists():
        raise SweepError(f"{folder} lacks {CONFIG}, the config of its trials; put it back or choose another --dir")
    study = known.search.study if isinstance(known.search, OptunaSearch) else None
    wanted = replace(_with_study(definition, study), owner=known.owner)
    has_results = any(run.result for trial in trials_in(folder, known).values() for run in trial.runs)
    differences = _definition_differences(known, wanted, has_results=has_results)
    differences += _config_differences(folder, config)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise SweepError(f"{folder} holds another sweep; choose another --dir, or go on with its settings:\n{listed}")
    if wanted != known:
        write_json(folder / DEFINITION, wanted.to_json())
    return wanted


def _from_file(path: Path, data: Any) -> Definition:
    """Converts the JSON content of the file that stores the settings of a sweep to a `Definition`.

    Raises:
        SweepError: the content lacks settings of a sweep.
    """
    try:
        return Definition.from_json(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from error


def _with_study(definition: Definition, name: str | None) -> Definition:
    """Sets the name of the Optuna study to `name` if the settings of an Optuna search leave the name open.

    The name is stored because its default, the name of the sweep's folder, would change if the folder were renamed.
    Other searches are returned unchanged.
    """
    search = definition.search
    if not isinstance(search, OptunaSearch) or search.study is not None:
        return definition
    return replace(definition, search=replace(search, study=name))


def _config_differences(folder: Path, config: Any) -> list[str]:
    """Returns one line for each setting in which a config differs from the copy that the sweep's folder contains.

    The values are compared as text, and at most `_MOST_SHOWN` differences are listed.
    """
    from eng.config import Config

    earlier, scratch = folder / CONFIG, folder / f".compared_{CONFIG}"
    try:
        config.dump(str(scratch))
        if scratch.read_text(encoding="utf-8") == earlier.read_text(encoding="utf-8"):
            return []
        old, new = ({key: repr(leaf) for key, leaf in _leaves(Config.fromfile(path))} for path in (earlier, scratch))
    finally:
        scratch.unlink(missing_ok=True)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if not changed:
        return [f"config: not as in {earlier}"]
    lines = [_difference_of_key(key, old, new) for key in changed[:_MOST_SHOWN]]
    if len(changed) > _MOST_SHOWN:
        lines.append(f"and {len(changed) - _MOST_SHOWN} more")
    return lines


def _difference_of_key(key: str, in_folder: Mapping[str, str], in_config: Mapping[str, str]) -> str:
    if key not in in_config:
        return f"{key}: only in the folder"
    if key not in in_folder:
        return f"{key}: only in the config"
    return f"{key}: {in_folder[key]} in the folder, {in_config[key]} in the config"


def _leaves(cfg: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and the value of every setting that is not a non-empty mapping, list or tuple."""
    items = cfg.items() if hasattr(cfg, "items") else enumerate(cfg)
    for key, value in items:
        if isinstance(value, (Mapping, list, tuple)) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _definition_differences(known: Definition, wanted: Definition, *, has_results: bool) -> list[str]:
    """Returns one line for each setting in which the requested settings of a sweep differ from those in its folder.

    Args:
        known: the settings in the folder.
        wanted: the requested settings.
        has_results: whether a run has a result; before that, metric, mode and objective may still change.
    """
    old, new = known.to_json(), wanted.to_json()
    for data in (old, new):
        # Before the first result these settings may change, because they select results and do not influence a
        # training.
        if not has_results:
            for name in ("metric", "mode", "objective"):
                data.pop(name)
        data.update({f"search.{name}": value for name, value in data.pop("search").items()})
        data.pop("search.num_trials", None)  # Not compared, because a sweep may be continued with more trials.
        data.pop("source")
    # The varied keys are compared in their order, because the order determines which values trial N of a grid has.
    for data, definition in ((old, known), (new, wanted)):
        data["space"] = [(key, _comparable(axis)) for key, axis in definition.space.items()]
    # A grid, a random and an Optuna search have different settings. Only settings that both have are compared; as
    # `search.type` is one of them, a change of the search is found.
    changed = [key for key in old if key in new and old[key] != new[key]]
    for data, definition in ((old, known), (new, wanted)):
        data["space"] = ", ".join(f"{key}={described(axis)}" for key, axis in definition.space.items())
    return [f"{key}: {old[key]} in the folder, {new[key]} asked for" for key in changed]


def _comparable(axis: Distribution) -> Any:
    """Returns an object that is equal for two axes (varied config keys) if they allow the same values.

    The values of a `Choice` are compared as JSON text, which distinguishes 1, 1.0, True and "1". Ranges are compared as
    numbers, so that a range from 0 equals one from 0.0.
    """
    return json.dumps(axis.values) if isinstance(axis, Choice) else axis


def trials_in(folder: Path, definition: Definition) -> dict[int, Trial]:
    """Returns the trials whose folders the sweep has created so far, by number of the trial."""
    trials = {}
    for trial_folder in sorted((folder / "trials").glob("[0-9]*")):
        number = int(trial_folder.name)
        first = definition.trial(folder, number, {}).runs[0]
        if first.exists():
            trials[number] = definition.trial(folder, number, first.params)
    return trials


def dotted(cfg: Any, prefix: str = "") -> Iterator[str]:
    """Yields the dotted keys of all values of a config, also of those in nested mappings and lists.

    Such keys are ``model``, ``model.depth`` and ``hooks.0.type``, where 0 is the index in a list.
    """
    # `Config` does not derive from Mapping, so the code looks for the method `items`.
    items = cfg.items() if hasattr(cfg, "items") else enumerate(cfg)
    for key, value in items:
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and not isinstance(value, str)):
            yield from dotted(value, f"{path}.")
