"""Checks one config mapping with a ``type``: whether the type exists and accepts the arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from .._lookup_error import hint_for, hint_for_absent, near_names, scopes_searched
from .._nearness import did_you_mean, is_slip_of, or_mean
from .._nodes import location_of, type_name
from .._registry import Registry
from .._root import FUNCTIONS, ROOT_REGISTRIES
from .._scope import DefaultScope
from .._signatures import Parameters, parameters_of
from .._tree import tree_below
from .annotations import contradicts, spelled
from .definitions import (
    MISSING,
    Unloadable,
    attribute_of,
    in_namespaces,
    is_in_code_of,
    is_in_source,
    is_registered_in_source,
)
from .findings import Finding
from .origin import origin_of
from .schema import Node, Schema
from .suspicion import Suspicion
from .words import files_of, words_of

RESERVED = frozenset(("type", "_scope_", "_delete_"))


@dataclass(frozen=True)
class Context:
    """The position of a mapping (a node) in a config, and what is known about the code that builds it.

    Attributes:
        path: the keys that lead to the node.
        is_known: whether it is known how the node is built; False if code of the surrounding class decides.
        stops: whether a run builds the node at its start, so that a mistake would stop the run.
        parents: the classes and functions of the surrounding nodes, outermost first.
        group: path of the argument that contains the node, in the nearest surrounding node with a type.
        is_named: whether the name of the argument determines the registry in which the type is looked up.
    """

    path: str
    is_known: bool
    stops: bool = True
    parents: tuple[Callable[..., Any], ...] = ()
    group: str = ""
    is_named: bool = False

    def below(self, step: str) -> Context:
        """Returns the context of a value inside the node, at ``.key`` or ``[index]``."""
        return replace(self, path=self.path + step)

    @property
    def is_certain(self) -> bool:
        """Whether a mistake in the node certainly stops the run."""
        return self.is_known and self.stops

    @property
    def is_layer(self) -> bool:
        """Whether the node is an argument such as ``norm_cfg=dict(type='BN')``, which a helper completes and builds."""
        key = self.path.rpartition(".")[2].partition("[")[0]
        return key.endswith(("_cfg", "_cfgs")) and key != "init_cfg" and "." in self.path


def resolve_or_find(
    node: Mapping[str, Any], shape: Node, context: Context
) -> tuple[Callable[..., Any] | None, list[Finding | Suspicion]]:
    """Looks up the type of a node; returns the class or function, or the findings if there is none."""
    type_or_name = node.get("type", shape.default_of(node))
    where = location_of(node, "type")
    if not isinstance(type_or_name, str) or type_or_name == "" or type_or_name.endswith("."):
        if callable(type_or_name):
            return type_or_name, []
        message = f"type must be a name, a class or a function, not {type_or_name!r}"
        # Code that builds the node itself may use numbers or None as types, so only a known builder gives a finding.
        finding = Finding("unknown-type", f"{context.path}.type", message, where, context.is_certain)
        return None, [finding] if context.is_known else []
    registry = in_default_scope(shape.registry)
    if context.is_known:
        factory = registry.get(type_or_name)
    else:
        factory = _loaded(type_or_name, registry)
    # A default type that is not installed is not a mistake in the config.
    if factory is not None or "type" not in node:
        return factory, []
    unknown = _unknown_type(type_or_name, registry, context, where)
    return None, [] if unknown is None else [unknown]


def _unknown_type(unknown_name: str, registry: Registry, context: Context, where: str | None) -> Finding | None:
    """Returns a finding about a type that no registry knows; None if the code of a library may still know it."""
    bare = unknown_name.rpartition(".")[2]
    packages = {str(getattr(parent, "__module__", "")).partition(".")[0] for parent in context.parents}
    candidates = near_names(unknown_name, registry)
    registers_itself = context.is_known and _is_registered_later(bare, registry, packages)
    if context.is_known:
        # A registration in source code may belong to another registry that already has this name. It counts only if
        # its file was not imported yet.
        may_come = registers_itself and (
            bare not in all_names() or is_registered_in_source(bare, packages, in_new_files=True)
        )
    else:
        may_come = _is_known_to_code(unknown_name, context, packages, has_near=bool(candidates))
    if may_come:
        return None
    searched = scopes_searched(unknown_name, registry)
    if context.is_known or context.is_named:
        problem = f"{unknown_name!r} is not in the {registry.scope}::{registry.name} registry (scopes searched: {', '.join(searched)})"
        origin = hint_for_absent(unknown_name, registry) or origin_of(unknown_name, registry, searched)
        origin = origin or ("" if candidates else hint_for(unknown_name, registry))
    else:
        problem, origin = f"no registry knows {unknown_name!r}", ""
        candidates = candidates or _near_anywhere(unknown_name, registry)
    message = "; ".join(filter(None, (problem, did_you_mean(candidates), origin)))
    # A name that resembles no registered name may come from another version of a library, so it is not certainly wrong.
    is_certain = context.is_certain and not registers_itself and (bool(candidates) or registry.parent is None)
    return Finding("unknown-type", f"{context.path}.type", message, where, is_certain)


def _is_known_to_code(unknown_name: str, context: Context, packages: set[str], *, has_near: bool) -> bool:
    """Whether the code that builds a node may know a type that no registry knows.

    Such code may register the type, define it, or compare the name with a string.
    """
    prefix, _, name = unknown_name.rpartition(".")
    package = prefix.partition(".")[0]
    is_scope = any(_has_scope(root, package) for root in ROOT_REGISTRIES)
    lacks_name = _lacks_name(unknown_name)
    if (
        package
        and not is_scope
        and not lacks_name
        and any(package in words_of(file) for file in files_of(context.parents))
    ):
        return True  # For example ``timm.resnet50`` inside a class whose file mentions timm.
    imported = in_namespaces(name, context.parents)
    if not context.is_named:
        return any(True for _ in imported) or is_in_source(name, packages)
    if any(isinstance(value, type) for value in imported) or is_in_code_of(name, context.parents):
        return True
    if has_near:
        return is_registered_in_source(name, packages)
    return is_in_source(name, packages)


def _lacks_name(path: str) -> bool:
    """Whether a dotted path certainly does not exist, because an imported module or class lacks the next name.

    The first part alone may be a prefix that the library interprets itself, so there only a misspelling counts.
    """
    package, *names = path.split(".")
    holder: Any = sys.modules.get(package)
    for index, name in enumerate(names if holder is not None else ()):
        attribute = attribute_of(holder, name)
        if attribute is Unloadable:
            return False
        if attribute is MISSING:
            known = dir(holder)
            return index > 0 or any(
                is_slip_of(name, candidate) or name.lower() == candidate.lower() for candidate in known
            )
        holder = attribute
    return False


def _is_registered_later(name: str, registry: Registry, packages: set[str]) -> bool:
    """Whether source code of a library registers a type that is not registered yet.

    A name that is already registered in another scope of the tree does not count: it cannot be used without the scope.
    """
    is_elsewhere = any(name in node.module_dict for node in tree_below(registry.root))
    return not is_elsewhere and is_registered_in_source(name, packages)


def _near_anywhere(name: str, registry: Registry) -> list[str]:
    """Returns names similar to `name` in the other registries, because the builder may use any of them."""
    candidates: set[str] = set()
    for root in ROOT_REGISTRIES:
        if root is not registry.root:
            candidates.update(near_names(name, in_default_scope(root)))
    return sorted(candidates)[:3]


def all_names() -> frozenset[str]:
    """Returns the names in all registries of all scopes."""
    return frozenset(name for root in ROOT_REGISTRIES for registry in tree_below(root) for name in registry.module_dict)


def in_default_scope(registry: Registry) -> Registry:
    """Returns the registry of the default scope in the tree of `registry`; `registry` itself without one.

    Unlike `Registry.in_current_scope` it logs no warning about an unknown scope, which the check reports as a finding.
    """
    current = DefaultScope.get_current_instance()
    inner = None
    if current is not None:
        inner = registry.of_scope(current.scope_name)
    if inner is None:
        return registry
    return inner


def unknown_scope(scope: Any, path: str, node: Mapping[str, Any], key: str) -> Iterator[Finding]:
    """Yields a finding if no registry has the scope `scope`, which a run would ignore with a warning."""
    if (
        scope is None
        or scope == ""
        or (isinstance(scope, str) and any(_has_scope(root, scope) for root in ROOT_REGISTRIES))
    ):
        return
    scopes = sorted({name for root in ROOT_REGISTRIES for name in root.scopes()})
    suggestion = ""
    if isinstance(scope, str):
        suggestion = or_mean(scope, scopes)
    message = f"there is no scope {scope!r} (there are: {', '.join(scopes)}){suggestion or '; import the library that brings it'}"
    yield Finding("unknown-scope", path, message, location_of(node, key), is_certain=False)


def _has_scope(root: Registry, scope: str) -> bool:
    return root.of_scope(scope) is not None


def check_call(
    factory: Callable[..., Any], node: Mapping[str, Any], shape: Node, context: Context, schema: Schema
) -> Iterator[Finding | Suspicion]:
    """Checks the arguments of a node; yields findings for unknown, wrongly typed and missing arguments."""
    takes = parameters_of(factory)
    name = type_name(node.get("type", factory))
    is_ours = _is_ours(factory)
    for key, value in node.items():
        if key in RESERVED or key in shape.extra or not isinstance(key, str):
            continue
        if key in takes.names:
            # Only annotations of eng are checked: those of other libraries often do not match what their code accepts.
            if is_ours and key in takes.hints and contradicts(value, takes.hints[key]):
                message = (
                    f"{name} takes {spelled(takes.hints[key])} for {key!r}, not {type(value).__name__} {value!r:.60}"
                )
                yield Finding("wrong-type", f"{context.path}.{key}", message, location_of(node, key), is_certain=False)
        else:
            yield from _unknown_argument(key, node, takes, factory, shape, context, schema)
    if context.is_known and takes.is_exact:
        yield from _missing(takes, node, shape, context, name)


def _is_ours(factory: Callable[..., Any]) -> bool:
    return getattr(factory, "__module__", "").startswith("eng.")


def _unknown_argument(
    key: str,
    node: Mapping[str, Any],
    takes: Parameters,
    factory: Callable[..., Any],
    shape: Node,
    context: Context,
    schema: Schema,
) -> Iterator[Finding | Suspicion]:
    name = type_name(node.get("type", factory))
    names = takes.names | {"type"}
    belongs_to = _place_for(key, node, shape, schema)
    problem = f"{name} takes no argument {key!r}"
    where, path = location_of(node, key), f"{context.path}.{key}"
    if context.is_known and takes.is_exact:
        # An argument that resembles no known one may belong to another version of the class, so it is not certain.
        is_certain = context.is_certain and (_is_ours(factory) or any(is_slip_of(key, known) for known in names))
        yield Finding("unknown-argument", path, f"{problem}{belongs_to or or_mean(key, names)}", where, is_certain)
    elif takes.is_exact and not context.is_layer:
        finding = Finding("unknown-argument", path, f"{problem}{belongs_to or ''}", where, is_certain=False)
        yield Suspicion(finding, key, names, context.parents, is_sure=True)
    else:
        finding = Finding("unknown-argument", path, problem, where, is_certain=False)
        # Extra keys of a class of eng are read only by the code of that class, not by other libraries.
        builders: tuple[Any, ...] = ()
        if _is_ours(factory):
            builders = (factory,)
        yield Suspicion(finding, key, names, builders, group=context.path)


def _missing(takes: Parameters, node: Mapping[str, Any], shape: Node, context: Context, name: str) -> Iterator[Finding]:
    # A function in FUNCTIONS is called later, when the caller passes the remaining arguments.
    if shape.registry.root is FUNCTIONS:
        return
    for argument in takes.required:
        if argument not in node and argument not in shape.supplied:
            hint = ""
            if argument in takes.hints:
                hint = f" ({spelled(takes.hints[argument])})"
            message = f"{name} needs the argument {argument!r}{hint}"
            yield Finding("missing-argument", context.path, message, location_of(node, None), context.is_certain)


def _place_for(key: str, node: Mapping[str, Any], shape: Node, schema: Schema) -> str | None:
    """Returns advice for a key that belongs one level further down or up in the config; None if it belongs nowhere."""
    for name, inner in node.items():
        if not isinstance(inner, Mapping) or "type" not in inner:
            continue
        inner_node = schema.arguments.get(name, shape)
        registry = in_default_scope(inner_node.registry)
        if isinstance(inner["type"], str):
            factory = _loaded(inner["type"], registry)
        else:
            factory = inner["type"]
        if callable(factory) and key in parameters_of(factory).names:
            return f"; it is an argument of {name!r}, one level down"
    return next((f"; {advice}" for advice, keys in shape.levels_up.items() if key in keys), None)


def _loaded(name: str, registry: Registry) -> Any:
    """Looks up the type of a nested node in its registry, then in all others, since the builder may use any of them.

    A module that fails to import is ignored, because it is unknown whether the builder needs its registry.
    """
    for candidate in (registry, *map(in_default_scope, ROOT_REGISTRIES)):
        with suppress(Exception):
            factory = candidate.get(name)
            if factory is not None:
                return factory
    return None
