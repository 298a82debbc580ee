"""From a config to an object, and from a failure to an error that says where it happened."""

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
    """A registry, as what builds from a config uses it."""

    def get(self, key: str) -> Any:
        """The object registered as `key`; None where there is none."""

    def in_current_scope(self: B) -> B:
        """The registry of the default scope."""

    def switch_scope_and_registry(self: B, scope: str | None) -> AbstractContextManager[B]:
        """Makes `scope` the default for a block, which gets its registry."""


def build_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """An object built from a config.

    Args:
        cfg: a mapping (dict, ConfigDict, Config). ``type`` names the class or function, or is it; ``_scope_`` makes
            that scope the default for this node and everything built below it; the other keys are arguments.
        registry: where names are looked up.
        default_args: arguments that `cfg` may leave out; may hold the ``type`` too.

    Returns:
        what the class or function gives. A class with `ManagerMixin` gives its instance of that name.

    Raises:
        UnknownTypeError: nobody registered the name (a KeyError).
        TypeError: `cfg` is no mapping, or `registry` no Registry.
        Exception: whatever the constructor raises, with a note of the nodes around it, their file and line; see
            `build_chain`.

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
        arguments = _merged(cfg, registry, default_args)
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
    """A Runner built by ``from_cfg`` of the class that ``runner_type`` names, ``Runner`` by default.

    Args:
        cfg: the whole config.
        registry: where the class is looked up.

    Raises:
        TypeError: `cfg` is no mapping.
        UnknownTypeError: nobody registered the class (a KeyError).
    """
    _check_mapping(cfg, "cfg")
    with registry.switch_scope_and_registry(cfg.get("_scope_")) as scoped:
        runner = resolve(cfg.get("runner_type", "Runner"), scoped)
        return runner.from_cfg(cfg)


def build_model_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """A module, or for a list of configs the Sequential of the modules.

    Args:
        cfg: a mapping, or a list of mappings.
        registry: where names are looked up.
        default_args: arguments that each config may leave out.

    Raises:
        Exception: as `build_from_cfg`.
    """
    if not isinstance(cfg, list):
        return build_from_cfg(cfg, registry, default_args)
    modules = [build_from_cfg(module_cfg, registry, default_args) for module_cfg in cfg]
    # A dotted path that is followed when it is needed: this package knows nothing of torch.
    return import_module("eng.model").Sequential(*modules)


def build_scheduler_from_cfg(cfg: Any, registry: BuildingRegistry, default_args: Any = None) -> Any:
    """A parameter scheduler; with ``convert_to_iter_based=True`` one whose epochs are turned into iterations.

    Args:
        cfg: a mapping; ``convert_to_iter_based`` needs ``epoch_length`` (iterations per epoch) and ``by_epoch``
            true or absent.
        registry: where names are looked up.
        default_args: arguments that `cfg` may leave out.

    Raises:
        ValueError: the conversion was asked for without ``epoch_length``, or of a scheduler that counts iterations.
        Exception: as `build_from_cfg`.
    """
    arguments = _merged(cfg, registry, default_args)
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
    """A scheduler's config, of the same class, without what only the conversion to iterations reads."""
    if not cfg or not any(key in cfg for key in _CONVERSION):
        return cfg
    cfg = copy.copy(cfg)
    for key in _CONVERSION:
        cfg.pop(key, None)
    return cfg


def resolve(type_or_name: Any, registry: BuildingRegistry) -> Any:
    """The class or function that ``type=kind`` means.

    Raises:
        UnknownTypeError: a name that no registry knows.
        TypeError: neither a name nor something that can be called.
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
    """Whether `cfg` can serve as a config: a mapping, or an object that offers the same by duck typing."""
    return isinstance(cfg, Mapping) or (hasattr(cfg, "keys") and hasattr(cfg, "items") and not isinstance(cfg, type))


def _construct(type_or_name: Any, registry: BuildingRegistry, arguments: dict[str, Any]) -> Any:
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
    """What each argument that the class does not take may have meant; nothing where the call failed otherwise."""
    try:
        arguments = _merged(cfg, registry, default_args)
        with registry.switch_scope_and_registry(arguments.pop("_scope_", None)) as scoped:
            takes = parameters_of(resolve(arguments.pop("type"), scoped))
    except (TypeError, KeyError):  # that is the error which is told already, or the class cannot be asked
        return ()
    if takes.takes_any:
        refused = []
    else:
        refused = [key for key in arguments if key not in takes.names]
    there_are = ""
    if takes.names:
        there_are = f"; there are {', '.join(sorted(takes.names))}"
    return tuple(f"no argument {key!r}{or_mean(key, takes.names) or there_are}" for key in refused)


def _number_hints(cfg: Any) -> tuple[str, ...]:
    """The arguments that are text and read as a number with an exponent, and how YAML, which made the text, writes it."""
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


def _merged(cfg: Any, registry: BuildingRegistry, default_args: Any) -> dict[str, Any]:
    """A plain dict of the arguments that is the caller's to change."""
    arguments = _plain(cfg, "cfg")
    if default_args is not None:
        for key, value in _plain(default_args, "default_args").items():
            arguments.setdefault(key, value)
    if "type" not in arguments:
        raise MissingTypeError(
            f'a config for the {registry.name} registry must contain the key "type"; it has {sorted(map(str, arguments))}'
        )
    return arguments


def _plain(cfg: Any, argument_name: str) -> dict[str, Any]:
    if type(cfg) is dict:
        return cfg.copy()
    _check_mapping(cfg, argument_name)
    # items() and not dict(cfg): a ConfigDict resolves its lazily imported objects there.
    return {key: value for key, value in cfg.items()}  # noqa: C416  # dict(cfg) would read past the overridden methods


def _check_mapping(cfg: object, argument_name: str) -> None:
    if not is_mapping(cfg):
        raise TypeError(
            f"{argument_name} must be a mapping such as dict(type='Name', ...), not {type(cfg).__name__}: {cfg!r}"
        )


def _node(cfg: Any, registry: BuildingRegistry, default_args: Any) -> BuildNode:
    default_type = "?"
    if is_mapping(default_args):
        default_type = default_args.get("type", "?")
    call = describe_call(cfg, default_type)
    return BuildNode(registry.name.replace(" ", "_"), call, location_of(cfg), cfg)
