"""Builds objects from configs. If a build fails, the exception gets a note that names the config's keys and lines."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol, TypeVar

from ._lookup_error import SearchedRegistry, unknown_type
from ._manager import ManagerMeta
from ._nearness import or_mean
from ._nodes import describe_call, location_of, type_name
from ._notes import build_chain, note_failure
from ._signatures import parameters_of
from .errors import BuildNode, MissingTypeError

_WITH_EXPONENT = re.compile(r"([+-]?\d+)(\.\d+)?[eE]([+-]?)(\d+)")

__all__ = ["build_from_cfg", "build_model_from_cfg", "build_runner_from_cfg", "build_scheduler_from_cfg"]

_LOGGER = logging.getLogger(__name__)
B = TypeVar("B", bound="BuildingRegistry")
_CONVERSION = ("convert_to_iter_based", "epoch_length")


class BuildingRegistry(SearchedRegistry, Protocol):
    """The methods of `Registry` that the build functions of this module call."""

    def get(self, key: str) -> Any:
        """Returns the class or function registered as `key`; None if there is none."""

    def in_current_scope(self: B) -> B:
        """Returns the registry of the default scope, such as ``mmdet``, in the same tree of registries."""

    def switch_scope_and_registry(self: B, scope: str | None) -> AbstractContextManager[B]:
        """Makes `scope` the default scope inside a ``with`` block and yields the registry of that scope."""


def build_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """Builds an object from a config by calling the class or function that its ``type`` names.

    Args:
        cfg: a mapping (dict, ConfigDict, Config). ``type`` is the name of the class or function, or the class or
            function itself. ``_scope_`` sets the default scope for this mapping and everything built inside it. The
            other keys are passed as arguments.
        registry: the registry in which names are looked up.
        default_args: arguments used if `cfg` does not set them; may include ``type``.

    Returns:
        The object that the class or function returns. A class that derives from `ManagerMixin` is not called again for
        the same ``name``: its existing instance of that name is returned.

    Raises:
        UnknownTypeError: no class or function is registered under the name (a KeyError).
        TypeError: `cfg` is not a mapping, or `registry` is not a Registry.
        Exception: any exception of the constructor. A note with the surrounding config mappings, their files and lines
            is added to it; see `build_chain`.

    Examples:
        >>> from eng.registry import Registry
        >>> TOOLS = Registry("tool", scope="example")
        >>> TOOLS.register_module(module=complex)
        <class 'complex'>
        >>> build_from_cfg(dict(type="complex", real=1.0), TOOLS, default_args=dict(imag=2.0))
        (1+2j)
    """
    if not hasattr(registry, "switch_scope_and_registry"):
        raise TypeError(f"registry should be a Registry, but got {registry!r}")
    try:
        arguments = _merge_arguments(cfg, registry, default_args)
        scope = arguments.pop("_scope_", None)
        type_or_name = arguments.pop("type")
        if scope is None:
            return _construct(type_or_name, registry.in_current_scope(), arguments)
        with registry.switch_scope_and_registry(scope) as scoped:
            return _construct(type_or_name, scoped, arguments)
    except Exception as error:
        is_innermost = not build_chain(error)
        hints: tuple[str, ...] = ()
        if is_innermost and isinstance(error, TypeError):
            hints = (*_argument_hints(cfg, registry, default_args), *_number_hints(cfg))
        note_failure(error, _node(cfg, registry, default_args), hints)
        raise


def build_runner_from_cfg(cfg: Any, registry: BuildingRegistry) -> Any:
    """Builds a Runner by calling ``from_cfg`` of the class named by the key ``runner_type``, by default ``Runner``.

    Args:
        cfg: the complete config of a run.
        registry: the registry in which the class is looked up.

    Raises:
        TypeError: `cfg` is not a mapping.
        UnknownTypeError: no class is registered under the name (a KeyError).
    """
    _check_mapping(cfg, "cfg")
    with registry.switch_scope_and_registry(cfg.get("_scope_")) as scoped:
        runner = resolve(cfg.get("runner_type", "Runner"), scoped)
        return runner.from_cfg(cfg)


def build_model_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """Builds a model from a config, or a ``Sequential`` of models from a list of configs.

    Args:
        cfg: a mapping, or a list of mappings.
        registry: the registry in which names are looked up.
        default_args: arguments used if a config does not set them.

    Raises:
        Exception: any exception that `build_from_cfg` raises.
    """
    if not isinstance(cfg, list):
        return build_from_cfg(cfg, registry, default_args)
    modules = [build_from_cfg(module_cfg, registry, default_args) for module_cfg in cfg]
    # `eng.model` needs torch, which this package must not depend on, so it is imported only for a list of configs.
    return import_module("eng.model").Sequential(*modules)


def build_scheduler_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """Builds a parameter scheduler, such as a learning-rate schedule, from a config.

    If the config sets ``convert_to_iter_based=True``, the durations in it are given in epochs, but the scheduler steps
    once per iteration.

    Args:
        cfg: a mapping with ``type`` and the arguments of the scheduler. With ``convert_to_iter_based=True`` it must
            contain ``epoch_length`` (iterations per epoch), and ``by_epoch`` must be True or absent.
        registry: the registry in which names are looked up.
        default_args: arguments used if `cfg` does not set them.

    Raises:
        ValueError: ``convert_to_iter_based`` is set without ``epoch_length``, or for a scheduler with
            ``by_epoch=False``.
        Exception: any exception that `build_from_cfg` raises.
    """
    arguments = _merge_arguments(cfg, registry, default_args)
    convert = arguments.pop("convert_to_iter_based", False)
    if not convert:
        return build_from_cfg(_without_conversion(cfg), registry, _without_conversion(default_args))
    if arguments.get("epoch_length") is None or not arguments.get("by_epoch", True):
        raise ValueError(
            f"{arguments['type']}: convert_to_iter_based needs epoch_length (iterations per epoch) "
            f"and a scheduler with by_epoch=True; it got epoch_length={arguments.get('epoch_length')!r} "
            f"and by_epoch={arguments.get('by_epoch', True)!r}"
        )
    with registry.switch_scope_and_registry(arguments.pop("_scope_", None)) as scoped:
        return resolve(arguments.pop("type"), scoped).build_iter_from_epoch(**arguments)


def _without_conversion(cfg: Any) -> Any:
    """Returns a scheduler config without the keys that serve only to convert epochs to iterations."""
    if not cfg or not any(key in cfg for key in _CONVERSION):
        return cfg
    cfg = copy.copy(cfg)
    for key in _CONVERSION:
        cfg.pop(key, None)
    return cfg


def resolve(type_or_name: Any, registry: BuildingRegistry) -> Any:
    """Returns the class or function for the ``type`` of a config; a name is looked up in `registry`.

    Raises:
        UnknownTypeError: no class or function is registered under the name.
        TypeError: `type_or_name` is neither a string nor callable.
    """
    if isinstance(type_or_name, str):
        registered = registry.get(type_or_name)
        if registered is None:
            raise unknown_type(type_or_name, registry)
        type_or_name = registered
    if not callable(type_or_name):
        raise TypeError(f"type must be a name, a class or a function, not {type_or_name!r}")
    return type_or_name


def is_mapping(cfg: object) -> bool:
    """Whether `cfg` can be used as a config: a mapping, or an object with the methods ``keys`` and ``items``."""
    return isinstance(cfg, Mapping) or (hasattr(cfg, "keys") and hasattr(cfg, "items") and not isinstance(cfg, type))


def _construct(type_or_name: Any, registry: BuildingRegistry, arguments: dict[str, Any]) -> Any:
    """Calls the class or function for a config's ``type`` with the arguments, and returns the result.

    A class that derives from `ManagerMixin` is called by ``get_instance``, which returns an existing instance of the
    same name. At log level DEBUG, two log messages say where the class comes from, as in MMEngine.
    """
    factory = resolve(type_or_name, registry)
    make = factory.get_instance if isinstance(factory, ManagerMeta) else factory  # type: ignore[attr-defined]  # only ManagerMixin has this metaclass
    if not _LOGGER.isEnabledFor(logging.DEBUG):
        return make(**arguments)
    name = type_name(factory)
    _LOGGER.debug('Get class `%s` from "%s" registry in "%s"', name, registry.name, registry.scope)
    built = make(**arguments)
    _LOGGER.debug(
        "An `%s` instance is built from registry, its implementation can be found in %s", name, factory.__module__
    )
    return built


def _argument_hints(cfg: Any, registry: BuildingRegistry, default_args: Any) -> tuple[str, ...]:
    """Returns a hint for each config key that the class, whose call failed, does not accept as an argument.

    A hint contains the names of similar arguments. The tuple is empty if the class accepts all keys, so that the call
    failed for another reason.
    """
    try:
        arguments = _merge_arguments(cfg, registry, default_args)
        with registry.switch_scope_and_registry(arguments.pop("_scope_", None)) as scoped:
            accepted = parameters_of(resolve(arguments.pop("type"), scoped))
    except (TypeError, KeyError):  # The exception that is being handled already reports the invalid config.
        return ()
    if accepted.takes_any:
        return ()
    all_names = ""
    if accepted.names:
        all_names = f"; there are {', '.join(sorted(accepted.names))}"
    refused = [key for key in arguments if key not in accepted.names]
    return tuple(f"no argument {key!r}{or_mean(key, accepted.names) or all_names}" for key in refused)


def _number_hints(cfg: Any) -> tuple[str, ...]:
    """Returns a hint for each value in `cfg` such as ``"1e-3"``, a string that was meant as a number.

    YAML parses ``1e-3`` as a string; the hint shows the spelling ``1.0e-3`` that YAML parses as a number.
    """
    if not is_mapping(cfg):
        return ()
    hints = []
    for key, value in cfg.items():
        number = _WITH_EXPONENT.fullmatch(value) if isinstance(value, str) else None
        if number is not None:
            digits, fraction, sign, exponent = number.groups()
            written = f"{digits}{fraction or '.0'}e{sign or '+'}{exponent}"
            hints.append(
                f"{key}={value!r} is text: YAML reads a number with an exponent only with point and sign, {written}"
            )
    return tuple(hints)


def _merge_arguments(cfg: Any, registry: BuildingRegistry, default_args: Any) -> dict[str, Any]:
    """Returns a new dict with the items of `cfg`, and with those items of `default_args` whose keys `cfg` lacks."""
    arguments = _to_dict(cfg, "cfg")
    if default_args is not None:
        for key, value in _to_dict(default_args, "default_args").items():
            arguments.setdefault(key, value)
    if "type" not in arguments:
        raise MissingTypeError(
            f'a config for the {registry.name} registry must contain the key "type"; it has {sorted(map(str, arguments))}'
        )
    return arguments


def _to_dict(cfg: Any, argument_name: str) -> dict[str, Any]:
    if type(cfg) is dict:
        return cfg.copy()
    _check_mapping(cfg, argument_name)
    # `items()` of a ConfigDict imports lazily imported objects; `dict(cfg)` would copy their stand-ins.
    return {key: value for key, value in cfg.items()}  # noqa: C416  # dict(cfg) would not call items()


def _check_mapping(cfg: object, argument_name: str) -> None:
    if not is_mapping(cfg):
        raise TypeError(
            f"{argument_name} must be a mapping such as dict(type='Name', ...), not {type(cfg).__name__}: {cfg!r}"
        )


def _node(cfg: Any, registry: BuildingRegistry, default_args: Any) -> BuildNode:
    """Returns the description of a config mapping whose build failed, for the note that is added to the exception."""
    default_type = "?"
    if is_mapping(default_args):
        default_type = default_args.get("type", "?")
    call = describe_call(cfg, default_type)
    return BuildNode(registry.name.replace(" ", "_"), call, location_of(cfg), cfg)
