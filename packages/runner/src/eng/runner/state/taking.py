"""Decides, key by key, whether a resumed run uses the value of its config or the value of the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.optim import BaseOptimWrapper, OptimWrapper
from eng.optim.optimizer.group_settings import group_settings
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.optim.scheduler._progress import set_value
from eng.runner.errors import SettingsError
from eng.runner.passport.facts import differing


def resume_and_take(resume: Any) -> tuple[bool | str, tuple[str, ...]]:
    """Splits the setting ``resume`` into a flag or path, and the keys whose values come from the config.

    For all other keys, a resumed run uses the values in the checkpoint.

    Args:
        resume: a flag, ``"auto"``, a path, or ``dict(checkpoint=None, take=[...])``.

    Raises:
        SettingsError: a mapping has another key, or ``take`` is no list of keys.
    """
    if not isinstance(resume, Mapping):
        return resume, ()
    unknown = sorted(set(resume) - {"checkpoint", "take"})
    if unknown:
        raise SettingsError(
            f"resume takes checkpoint and take, not {unknown[0]!r}{suggest(unknown[0], ['checkpoint', 'take'])}"
        )
    take = resume.get("take") or ()
    if isinstance(take, str) or not all(isinstance(key, str) for key in take):
        raise SettingsError(f"resume's take must be a list of dotted keys, got {take!r}")
    return resume.get("checkpoint") or True, tuple(take)


def covers(take: Iterable[str], key: str) -> bool:
    """Whether ``take`` contains a dotted key, or the name of a section that contains this key."""
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in take)


def how_to_take(key: str) -> str:
    """Returns the advice, for a message, how to make a resumed run use the config's value of a key.

    Example:
        >>> how_to_take("param_scheduler")
        "--resume-take param_scheduler, or resume=dict(take=['param_scheduler']), takes the new one"
    """
    return f"--resume-take {key}, or resume=dict(take=[{key!r}]), takes the new one"


def difference_lines(before: Mapping[str, Any], now: Mapping[str, Any], take: Sequence[str], lines: Sequence[str]) -> list[str]:  # fmt: skip
    """Returns a line of text for each difference between the saved run and this run, with the value that this run uses.

    Args:
        before: facts of the saved run, see :func:`eng.runner.passport.run_facts`.
        now: facts of this run.
        take: dotted keys for which this run uses the config's value instead of the checkpoint's value.
        lines: lines about other differences; a key that they mention gets no second line.
    """
    rows = differing(before, now)
    return [_line(*row, take) for row in rows if not _is_mentioned(row[0], row[1], lines)]


def check_take(take: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Checks that every key of ``take`` exists in the config of the saved run or of this run.

    Raises:
        SettingsError: a key exists in neither config; the message names similar keys.
    """
    known = {key for facts in (before, now) for key in facts.get("config", {})}
    sections = {key[:position] for key in known for position, sign in enumerate(key) if sign == "."} | known
    for key in take:
        if known and key not in sections:
            raise SettingsError(f"resume's take names {key!r}, which neither run's config has{suggest(key, sections)}")


def _line(section: str, key: str, before: str, now: str, take: Sequence[str]) -> str:
    """Returns a line of text about one difference between the saved run and this run."""
    values = f"{before} in the checkpoint and {now} now"
    if section == "config":
        return f"{key}: {values}; {_winner(key, take)}"
    if section == "code":
        return f"code, {key}: {values}; the code of now runs"
    if section == "data":
        return f"training data, {key}: {values}; the data of now are read"
    if section == "versions":
        return f"version of {key}: {values}"
    return f"world size: {values}; this run has {counted(int(now), 'process', 'processes')}, and the global batch changes with them"


def _winner(key: str, take: Sequence[str]) -> str:
    """Returns the part of a line that says which of two values a resumed run uses: the saved or the new one."""
    if covers(take, key):
        return "the new value is taken"
    if _is_hyperparameter(key):
        return f"the checkpoint's is used ({how_to_take(key)})"
    if key == "randomness.seed":
        return f"the order of the data and the random generators are the checkpoint's ({how_to_take(key)})"
    if key.startswith("model."):
        return "the model of now is built, and gets the checkpoint's weights"
    return "the new value is used"


def _is_hyperparameter(key: str) -> bool:
    """Whether the value of a key, such as the learning rate, is part of the optimizer's state in a checkpoint."""
    segments = key.split(".")
    return (
        segments[0] == "optim_wrapper"
        and "optimizer" in segments[1:3]
        and segments[-1] not in ("type", "foreach", "fused")
        and ".split.ndim" not in key
        and ".split.modules" not in key
    )


def _is_mentioned(section: str, key: str, lines: Sequence[str]) -> bool:
    """Whether the lines about optimizer, schedulers and seed already report the difference in a key of the config."""
    if section != "config":
        return False
    segments = key.split(".")
    if _is_hyperparameter(key):
        setting = key.partition(".optimizer.")[2]
        return any(line.startswith("optim_wrapper") and f": {setting} of " in line for line in lines)
    if segments[0] == "param_scheduler":
        return any(line.startswith(f"{'.'.join(segments[:-1])} ") and f"{segments[-1]}=" in line for line in lines)
    return key == "randomness.seed" and any(line.startswith("The seed is ") for line in lines)


class TakenValues:
    """Remembers hyperparameters of the config, and writes them back after the optimizer has loaded a checkpoint.

    The resumed run then uses these values instead of the values in the checkpoint.

    Args:
        optim_wrapper: the optimizer wrapper, before the state of the checkpoint is loaded.
        take: dotted keys of the hyperparameters.
    """

    def __init__(self, optim_wrapper: OptimWrapper, take: Sequence[str]) -> None:
        self._values: list[tuple[Any, int, str, Any]] = []
        for name, wrapper in wrappers_by_name(optim_wrapper).items():
            path = "optim_wrapper.optimizer"
            if name:
                path = f"optim_wrapper.{name}.optimizer"
            if not isinstance(wrapper, BaseOptimWrapper):
                continue
            by_group = group_settings(wrapper.optimizer)
            # wrapper.param_groups may have one group more at its end, base_param_settings, to which the settings of the
            # first group apply.
            by_group += by_group[:1]
            for number, (group, settings) in enumerate(zip(wrapper.param_groups, by_group, strict=False)):
                for setting, key in settings.items():
                    if key in group and covers(take, f"{path}.{setting}"):
                        self._values.append((wrapper, number, key, group.get(f"initial_{key}", group[key])))

    def put_back(self) -> bool:
        """Writes the remembered values into the parameter groups; returns False if there are none."""
        for wrapper, number, key, value in self._values:
            group = wrapper.param_groups[number]
            if key not in group:
                continue
            set_value(group, key, value)
            if f"initial_{key}" in group:
                set_value(group, f"initial_{key}", value)
        return bool(self._values)
