"""Reads the Runner's arguments from a config, and checks the config before anything is built."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from eng.config import Config
from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.registry import Finding, check

from .errors import SettingsError
from .schema import schema_for
from .settings import default_of, defaults

logger = logging.getLogger(__name__)
_MOST_HINTS = 8
P = ParamSpec("P")
Owner = TypeVar("Owner")
Settings = TypeVar("Settings")


def _set_by_user(cfg: Config | Mapping[str, Any]) -> list[str]:
    """Returns the keys of a config that the user wrote, without ``work_dir`` and ``preemption``, which commands add."""
    return sorted(str(key) for key in cfg if key not in ("work_dir", "preemption"))


def file_of(cfg: object) -> str | None:
    """Returns the path of a config's file; None for a dict, and for a Config that was not read from a file."""
    if isinstance(cfg, Config):
        return cfg.filename
    return None


def arguments_from_cfg(cfg: Config | Mapping[str, Any]) -> dict[str, Any]:
    """Returns the Runner's arguments from a copy of a config, with defaults for missing keys.

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
    """Removes the arguments that the constructor of ``runner`` does not have; a subclass of Runner may have fewer.

    A removed argument whose value differs from the default causes a warning.
    """
    parameters = inspect.signature(runner.__init__).parameters.values()  # type: ignore[misc]  # a subclass's own
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    names = {parameter.name for parameter in parameters}
    ours = defaults()
    lost = [name for name, value in arguments.items() if name not in names and value != ours.get(name)]
    if lost:
        logger.warning("%s takes no %s: left out", runner.__name__, " and ".join(map(repr, lost)))
    return {name: value for name, value in arguments.items() if name in names}


def takes_fields_of(
    settings_class: Callable[P, Settings],
) -> Callable[[Callable[[Owner, Settings], None]], Callable[Concatenate[Owner, P], None]]:
    """Makes a constructor take the fields of a dataclass as its arguments, instead of an object of the dataclass.

    The constructor's signature gets the names, the order, the types and the defaults of the fields. Its body receives
    one object with all arguments.

    Args:
        settings_class: the dataclass.

    Returns:
        a decorator for the constructor. The decorated constructor raises TypeError for an argument that is missing or
        unknown, and suggests a similar name.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Size:
        ...     width: int
        ...     height: int = 1
        >>> class Box:
        ...     @takes_fields_of(Size)
        ...     def __init__(self, size):
        ...         self.area = size.width * size.height
        >>> Box(3, height=2).area, Box(3).area
        (6, 3)
        >>> Box(3, heights=2)
        Traceback (most recent call last):
        TypeError: Box takes no argument 'heights'; did you mean 'height'?
    """
    signature = _signature_of_fields(settings_class)

    def decorate(init: Callable[[Owner, Settings], None]) -> Callable[Concatenate[Owner, P], None]:
        """Returns a constructor that takes the fields and calls ``init``."""

        @functools.wraps(init)
        def with_fields(self: Owner, *args: P.args, **kwargs: P.kwargs) -> None:
            _check_arguments(type(self).__name__, signature, args, kwargs)
            init(self, settings_class(*args, **kwargs))

        owner = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        shown: Any = with_fields
        shown.__signature__ = signature.replace(parameters=[owner, *signature.parameters.values()])
        shown.__annotations__ = {name: field.annotation for name, field in signature.parameters.items()}
        return with_fields  # type: ignore[return-value]  # mypy wants `self` to be positional-only

    return decorate


def _signature_of_fields(settings_class: Any) -> inspect.Signature:
    """Returns the signature of a dataclass with types instead of their texts, and with the defaults that functions make."""
    signature = inspect.signature(settings_class)
    parameters = dict(signature.parameters)
    types = get_type_hints(settings_class)
    for field in fields(settings_class):
        parameter = parameters[field.name].replace(annotation=types[field.name])
        if field.default_factory is not MISSING:
            parameter = parameter.replace(default=default_of(field))
        parameters[field.name] = parameter
    return signature.replace(parameters=list(parameters.values()))


def _check_arguments(owner: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Checks that a constructor can be called with some arguments.

    Raises:
        TypeError: an argument is missing, unknown or given twice.
    """
    for name in kwargs:
        if name not in signature.parameters:
            raise TypeError(f"{owner} takes no argument {name!r}{suggest(name, signature.parameters)}")
    needed = [name for name, parameter in signature.parameters.items() if parameter.default is parameter.empty]
    missing = [name for name in needed[len(args) :] if name not in kwargs]
    if missing:
        raise TypeError(f"{owner} needs {' and '.join(map(repr, missing))}")
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{owner}: {error}") from None


def as_config(cfg: object) -> Any:
    """Converts a mapping to a :class:`eng.config.Config`; None becomes an empty Config.

    Raises:
        SettingsError: ``cfg`` is neither a Config nor a mapping.
    """
    if cfg is None:
        return Config({})
    if isinstance(cfg, Config):
        return cfg
    if isinstance(cfg, Mapping):
        return Config(dict(cfg))
    raise SettingsError(f"cfg must be a Config or a mapping, got {type(cfg).__name__}")


def check_config(cfg: Config | Mapping[str, Any], runner: type | None = None) -> None:
    """Checks a config for unknown types, and for unknown and missing arguments, before anything is built.

    Mistakes that are certain to fail raise an error. Possible mistakes are logged as one block of hints.

    Args:
        cfg: the complete config.
        runner: the Runner class that gets the config; None is :class:`eng.runner.Runner`.

    Raises:
        SettingsError: at least one part is certain to fail; the message lists all, if possible with file and line.
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
    """Formats hints as a text of at most ten lines: groups equal hints, and names the command that shows all.

    Args:
        hints: at least one hint.
        file: path of the config file, for the command.
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
    """Returns one line for equal hints at several places of a config: the first place, and the number of the others."""
    if len(group) == 1:
        return f"  {group[0]}"
    plural = ""
    if len(group) > 2:
        plural = "s"
    return f"  {group[0]} (and at {len(group) - 1} more place{plural})"
