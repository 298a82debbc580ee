"""The settings of a run, read from a config that is checked before anything is built."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from eng.config import Config
from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.registry import Finding, check

from .errors import SettingsError
from .schema import schema_for
from .settings import defaults

logger = logging.getLogger(__name__)
_MOST_HINTS = 8
Init = TypeVar("Init", bound=Callable[..., None])


def _set_by_user(cfg: Config | Mapping[str, Any]) -> list[str]:
    """Keys of a config but those that a command adds."""
    return sorted(str(key) for key in cfg if key not in ("work_dir", "preemption"))


def file_of(cfg: object) -> str | None:
    """The file of a config; None for a dict, and for a config without a file."""
    if isinstance(cfg, Config):
        return cfg.filename
    return None


def arguments_from_cfg(cfg: Config | Mapping[str, Any]) -> dict[str, Any]:
    """The Runner's arguments in ``cfg``, which is copied.

    Raises:
        SettingsError: ``model`` or ``work_dir`` is missing.

    Example:
        >>> arguments_from_cfg(dict(model=dict(type="ToyModel"), work_dir="w"))["resume"]
        False
    """
    missing = [key for key in ("model", "work_dir") if cfg.get(key) is None]
    if missing:
        name = file_of(cfg) or "the config"
        raise SettingsError(f"{name} lacks {' and '.join(missing)}; it has {', '.join(_set_by_user(cfg)) or 'nothing'}")
    cfg = copy.deepcopy(cfg)
    arguments = {name: cfg.get(name, default) for name, default in defaults().items()}
    return {"model": cfg["model"], "work_dir": cfg["work_dir"], **arguments, "cfg": cfg}


def arguments_taken_by(runner: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``arguments`` that the constructor of ``runner`` takes: a subclass may know fewer settings.

    A setting that it does not take is left out; where the config gives it a value, with a warning.
    """
    parameters = inspect.signature(runner.__init__).parameters.values()  # type: ignore[misc]  # the class's own constructor
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    names = {parameter.name for parameter in parameters}
    ours = defaults()
    lost = [name for name, value in arguments.items() if name not in names and value != ours.get(name)]
    if lost:
        logger.warning("%s takes no %s: left out", runner.__name__, " and ".join(map(repr, lost)))
    return {name: value for name, value in arguments.items() if name in names}


def tells_near_names(init: Init) -> Init:
    """A constructor whose TypeError for an unknown keyword names the near one, as Python itself does from 3.13 on."""
    names = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(self: object, *args: Any, **settings: Any) -> None:
        for name in settings:
            if name not in names:
                raise TypeError(f"{type(self).__name__} takes no argument {name!r}{suggest(name, names)}")
        init(self, *args, **settings)

    return checked  # type: ignore[return-value]  # of the same signature


def as_config(cfg: object) -> Any:
    """The whole config as a :class:`eng.config.Config`; an empty one for None.

    Raises:
        SettingsError: it is neither a config nor a mapping.
    """
    if cfg is None:
        return Config({})
    if isinstance(cfg, Config):
        return cfg
    if isinstance(cfg, Mapping):
        return Config(dict(cfg))
    raise SettingsError(f"cfg must be a Config or a mapping, got {type(cfg).__name__}")


def check_config(cfg: Config | Mapping[str, Any], runner: type | None = None) -> None:
    """Looks for unknown types, unknown and missing arguments before anything is built.

    Only what is certain to fail stops the run; the rest is one block of hints in the log.

    Args:
        cfg: the whole config.
        runner: the class that builds it; None is :class:`eng.runner.Runner`.

    Raises:
        SettingsError: a part is certain to fail; all are listed, with file and line where they are known.
    """
    findings = check(cfg, schema_for(runner))
    certain = [finding for finding in findings if finding.is_certain]
    hints = [finding for finding in findings if not finding.is_certain]
    if hints:
        logger.warning("%s", hint_block(hints, file_of(cfg)))
    if certain:
        listed = "\n".join(f"  {finding}" for finding in certain)
        raise SettingsError(f"the config has {counted(len(certain), 'mistake')}:\n{listed}")


def hint_block(hints: list[Finding], file: str | None = None) -> str:
    """The hints as one text of at most ten lines: equal ones grouped, and how to see all.

    Args:
        hints: at least one.
        file: the config's file, for the command that shows all.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for hint in hints:
        groups.setdefault((hint.path.rpartition(".")[2], hint.message), []).append(hint)
    lines = [_group_line(group) for group in groups.values()]
    shown = lines[:_MOST_HINTS]
    count = counted(len(hints), "hint")
    remainder = []
    if len(lines) > len(shown):
        remainder = [f"  and {len(lines) - len(shown)} more"]
    command = "eng config check FILE"
    if file:
        command = f"eng config check {shlex.quote(file)}"
    return "\n".join([f"the config may be wrong, {count} (all: {command}):", *shown, *remainder])


def _group_line(group: list[Finding]) -> str:
    if len(group) == 1:
        return f"  {group[0]}"
    plural = ""
    if len(group) > 2:
        plural = "s"
    return f"  {group[0]} (and at {len(group) - 1} more place{plural})"
