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
        is_known: whether it is known how the node is built: by a registry. False if the class that receives the node
            as an argument decides what to do with it.
        stops: whether a run builds the node at its start, so that a mistake would stop the run.
        parents: the classes and functions of the surrounding nodes, outermost first.
        group: path of the outermost argument that contains the node, among the arguments of the nearest surrounding
            node with a type.
        is_named: whether the name of the argument, such as ``norm_cfg``, determines the registry in which the type of
            the node is looked up.
    """

    path: str
    is_known: bool
    stops: bool = True
    parents: tuple[Callable[..., Any], ...] = ()
    group: str = ""
    is_named: bool = False

    def below(self, step: str) -> Context:
        """Returns the context of a value inside the node; `step` is ``.key`` or ``[index]``, as appended to `path`."""
        return replace(self, path=self.path + step)

    @property
    def is_certain(self) -> bool:
        """Whether a mistake in the node certainly stops the run."""
        return self.is_known and self.stops

    @property
    def is_layer(self) -> bool:
        """Whether the node is an argument such as ``norm_cfg=dict(type='BN')``.

        A function of the library adds further keys to such a mapping before it builds the layer, so keys that the
        layer does not accept are not certain mistakes.
        """
        key = self.path.rpartition(".")[2].partition("[")[0]
        return key.endswith(("_cfg", "_cfgs")) and key != "init_cfg" and "." in self.path


def resolve_or_find(
    node: Mapping[str, Any], shape: Node, context: Context
) -> tuple[Callable[..., Any] | None, list[Finding | Suspicion]]:
    """Looks up the class or function that a node, a config mapping, names as its ``type``.

    Returns the class or function (None if there is none), and the findings to report about the ``type``.
    """
    type_or_name = node.get("type", shape.default_of(node))
    where = location_of(node, "type")
    if not isinstance(type_or_name, str) or type_or_name == "" or type_or_name.endswith("."):
        if callable(type_or_name):
            return type_or_name, []
        message = f"type must be a name, a class or a function, not {type_or_name!r}"
        # Code of another library that builds the node may accept a number or None as type. A registry accepts neither,
        # so the type is reported only if a registry builds the node.
        finding = Finding("unknown-type", f"{context.path}.type", message, where, context.is_certain)
        return None, [finding] if context.is_known else []
    registry = in_default_scope(shape.registry)
    if context.is_known:
        factory = registry.get(type_or_name)
    else:
        factory = _loaded(type_or_name, registry)
    # If the node sets no type and the default type is not installed, the config contains no mistake.
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
        # The name is not reported if a source file that registers it may still be imported. If another registry has the
        # name already, an imported file may have registered it there, so only files that are not imported yet are a
        # reason not to report it.
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
    # A name that resembles no registered name may exist in another version of a library, so the finding is not certain.
    is_certain = context.is_certain and not registers_itself and (bool(candidates) or registry.parent is None)
    return Finding("unknown-type", f"{context.path}.type", message, where, is_certain)


def _is_known_to_code(unknown_name: str, context: Context, packages: set[str], *, has_near: bool) -> bool:
    """Whether the code that builds a node may know a type that no registry knows.

    Such code may register the type, define it, or compare its name with a string.

    Args:
        unknown_name: the type as the config names it, with its scope or module.
        context: position of the node, and the classes around it, whose code is searched.
        packages: the packages of these classes, which are searched too.
        has_near: whether a registered name resembles the type. The type is then probably misspelled, and only a
            registration in the source code counts.
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
        # The code may look the type up in the package, as for ``timm.resnet50`` in a class whose source file mentions
        # timm.
        return True
    imported = in_namespaces(name, context.parents)
    if not context.is_named:
        return any(True for _ in imported) or is_in_source(name, packages)
    if any(isinstance(value, type) for value in imported) or is_in_code_of(name, context.parents):
        return True
    if has_near:
        return is_registered_in_source(name, packages)
    return is_in_source(name, packages)


def _lacks_name(path: str) -> bool:
    """Whether a dotted path such as ``torch.nn.Conv`` certainly does not exist.

    That is the case if a module or class on the path is imported and lacks the next name of the path. Directly below
    the top-level module (``torch.Conv``), a name that the module lacks counts only if it is a misspelling of a name
    that the module has, because a library may interpret the first part of the path as a prefix of its own.
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
    """Whether source code of a library contains a registration of a type that has not run yet.

    Returns False if the name is already registered in another scope of the tree of registries, because the config must
    then write the scope before the name.
    """
    is_elsewhere = any(name in node.module_dict for node in tree_below(registry.root))
    return not is_elsewhere and is_registered_in_source(name, packages)


def _near_anywhere(name: str, registry: Registry) -> list[str]:
    """Returns names similar to `name` from the registries of other kinds.

    This serves types that unknown code builds, because that code may use any registry.
    """
    candidates: set[str] = set()
    for root in ROOT_REGISTRIES:
        if root is not registry.root:
            candidates.update(near_names(name, in_default_scope(root)))
    return sorted(candidates)[:3]


def all_names() -> frozenset[str]:
    """Returns the names in all registries of all scopes."""
    return frozenset(name for root in ROOT_REGISTRIES for registry in tree_below(root) for name in registry.module_dict)


def in_default_scope(registry: Registry) -> Registry:
    """Returns the registry of the default scope in the tree of `registry`.

    Returns `registry` itself if no default scope is set, or if the tree has no registry of that scope. Unlike
    `Registry.in_current_scope`, the function logs no warning about an unknown scope; the check reports it instead.
    """
    current = DefaultScope.get_current_instance()
    inner = None
    if current is not None:
        inner = registry.of_scope(current.scope_name)
    if inner is None:
        return registry
    return inner


def unknown_scope(scope: Any, path: str, node: Mapping[str, Any], key: str) -> Iterator[Finding]:
    """Yields a finding if no registry has the scope `scope`; a run would only log a warning about such a scope."""
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
    """Checks the arguments that a node, a config mapping with a ``type``, sets for a class or function.

    Yields findings for unknown, wrongly typed and missing arguments. An unknown argument that code of a library may
    still read is a suspicion instead.

    Args:
        factory: the class or function that the ``type`` of the node names.
        node: the config mapping.
        shape: the description of the node, such as the arguments that the building code adds.
        context: the position of the node in the config.
        schema: the description of the complete config.
    """
    takes = parameters_of(factory)
    name = type_name(node.get("type", factory))
    is_ours = _is_ours(factory)
    for key, value in node.items():
        if key in RESERVED or key in shape.extra or not isinstance(key, str):
            continue
        if key in takes.names:
            # Values are compared only with type annotations in eng. Code of other libraries often accepts more types
            # than it annotates.
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
    """Yields a finding or a suspicion (possible mistake) for an argument that a class does not accept.

    The result is a finding if the signature is exact and a registry builds the node. Otherwise code of a library
    may read the argument, and the suspicion is reported only if no source code contains the argument's name.

    Args:
        key: name of the argument.
        node: the config mapping that sets the argument.
        takes: the arguments that the class accepts.
        factory: the class or function.
        shape: the description of the node.
        context: the position of the node in the config.
        schema: the description of the complete config.
    """
    name = type_name(node.get("type", factory))
    names = takes.names | {"type"}
    belongs_to = _place_for(key, node, shape, schema)
    problem = f"{name} takes no argument {key!r}"
    where, path = location_of(node, key), f"{context.path}.{key}"
    if context.is_known and takes.is_exact:
        # An argument that resembles no known argument may exist in another version of the class, so the finding is not
        # certain.
        is_certain = context.is_certain and (_is_ours(factory) or any(is_slip_of(key, known) for known in names))
        yield Finding("unknown-argument", path, f"{problem}{belongs_to or or_mean(key, names)}", where, is_certain)
    elif takes.is_exact and not context.is_layer:
        finding = Finding("unknown-argument", path, f"{problem}{belongs_to or ''}", where, is_certain=False)
        yield Suspicion(finding, key, names, context.parents, is_sure=True)
    else:
        finding = Finding("unknown-argument", path, problem, where, is_certain=False)
        # A class of eng may read extra keys from `**kwargs`; no other library reads the keys, so only the source of
        # that class is searched for them.
        builders: tuple[Any, ...] = ()
        if _is_ours(factory):
            builders = (factory,)
        yield Suspicion(finding, key, names, builders, group=context.path)


def _missing(takes: Parameters, node: Mapping[str, Any], shape: Node, context: Context, name: str) -> Iterator[Finding]:
    """Yields a finding for each required argument that neither the config nor the building code sets."""
    # A function in FUNCTIONS, such as a collate function, gets its remaining arguments from the code that calls it.
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
    """Returns advice for an unknown argument `key` that would be valid one level further down or up in the config.

    Returns None if the key is not valid there either.
    """
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
    """Looks up the type of a config mapping in `registry`, then in all other registries; None if none knows it.

    All registries are searched because the code that builds the mapping may use any of them. A look-up that fails, as
    when the import of a library fails, is ignored, because the code may not need that registry.
    """
    for candidate in (registry, *map(in_default_scope, ROOT_REGISTRIES)):
        with suppress(Exception):
            factory = candidate.get(name)
            if factory is not None:
                return factory
    return None
