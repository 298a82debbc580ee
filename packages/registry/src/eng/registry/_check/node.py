"""One node: does its type exist, and would the call succeed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from eng.registry import _root as roots
from eng.registry._lookup_error import hint_for, near_names, scopes_searched
from eng.registry._nodes import location_of, type_name
from eng.registry._registry import Registry
from eng.registry._scope import DefaultScope

from . import known
from .annotations import contradicts, spelled
from .findings import Finding
from .known import Place
from .nearness import is_slip_of, or_mean
from .origin import origin_of
from .signatures import Parameters, parameters_of

_RESERVED = frozenset(("type", "_scope_", "_delete_"))


def resolve_or_find(
    node: Mapping[str, Any], place: Place, path: str, *, is_guess: bool
) -> tuple[Callable[..., Any] | None, list[Finding]]:
    """What the node's type stands for, or the finding that says why there is nothing."""
    kind = node.get("type", place.default)
    where = location_of(node, "type")
    if not isinstance(kind, str):
        if callable(kind):
            return kind, []
        message = f"type must be a name, a class or a function, not {kind!r}"
        return None, [Finding("unknown-type", f"{path}.type", message, where)]
    registry = scoped(place.registry)
    found = registry.get(kind)
    if found is None and is_guess:
        found = _get_from_any(kind)
    if found is not None:
        return found, []
    if "type" not in node:  # the default of a part that is not installed
        return None, []
    return None, [Finding("unknown-type", f"{path}.type", _unknown(kind, registry), where, is_certain=not is_guess)]


def scoped(registry: Registry) -> Registry:
    """The registry of the default scope, without a word about a scope that does not exist: that is a finding."""
    current = DefaultScope.get_current_instance()
    found = registry.of_scope(current.scope_name) if current is not None else None
    return registry if found is None else found


def unknown_scope(scope: Any, registry: Registry, path: str, node: Mapping[str, Any], key: str) -> Iterator[Finding]:
    """A finding where no registry of the tree answers to `scope`."""
    if not isinstance(scope, str) or registry.of_scope(scope) is None:
        scopes = registry.scopes()
        near = or_mean(scope, scopes) if isinstance(scope, str) else ""
        message = f"there is no scope {scope!r} (there are: {', '.join(scopes)}){near or '; import the library that brings it'}"
        yield Finding("unknown-scope", path, message, location_of(node, key))


def check_call(
    factory: Callable[..., Any], node: Mapping[str, Any], place: Place, path: str, *, is_guess: bool
) -> Iterator[Finding]:
    """Unknown, contradicting and missing arguments of a call that the node stands for."""
    takes = parameters_of(factory)
    name = type_name(node.get("type", factory))
    for key, value in node.items():
        if key in _RESERVED or key in place.extra:
            continue
        if key in takes.names:
            yield from _check_value(key, value, takes, name, path, node)
        elif _is_refused(key, takes, path):
            message = f"{name} takes no argument {key!r}{_place_for(key, node, place) or or_mean(key, takes.names | {'type'})}"
            yield Finding("unknown-argument", f"{path}.{key}", message, location_of(node, key))
    if not _is_layer(path):
        yield from _missing(takes, node, place, path, name, is_certain=not is_guess)


def _check_value(
    key: str, value: Any, takes: Parameters, name: str, path: str, node: Mapping[str, Any]
) -> Iterator[Finding]:
    if key in takes.hints and contradicts(value, takes.hints[key]):
        message = f"{name} takes {spelled(takes.hints[key])} for {key!r}, not {type(value).__name__} {value!r:.60}"
        yield Finding("wrong-type", f"{path}.{key}", message, location_of(node, key))


def _is_refused(key: Any, takes: Parameters, path: str) -> bool:
    if takes.takes_any or _is_layer(path):
        # Any name would do, but not one that is nearly an argument.
        return isinstance(key, str) and any(is_slip_of(key, other) for other in takes.names if len(other) > 3)
    return True


def _is_layer(path: str) -> bool:
    """Whether a helper builds the node with arguments of its own, as for ``norm_cfg=dict(type='BN')``."""
    key = path.rpartition(".")[2].partition("[")[0]
    return key.endswith(("_cfg", "_cfgs")) and key != "init_cfg" and "." in path


def _missing(
    takes: Parameters, node: Mapping[str, Any], place: Place, path: str, name: str, *, is_certain: bool
) -> Iterator[Finding]:
    given_by_builder = known.supplied_to(place.registry) | place.supplied
    if place.registry.root is roots.FUNCTIONS:  # a function of FUNCTIONS is called later, with the rest
        return
    for each in takes.required:
        if each not in node and each not in given_by_builder:
            hint = f" ({spelled(takes.hints[each])})" if each in takes.hints else ""
            message = f"{name} needs the argument {each!r}{hint}"
            yield Finding("missing-argument", path, message, location_of(node, None), is_certain)


def _place_for(key: str, node: Mapping[str, Any], place: Place) -> str | None:
    """Where a key of another level belongs, in words."""
    for name, inner in node.items():
        if not isinstance(inner, Mapping) or "type" not in inner:
            continue
        registry = scoped(known.ARGUMENTS[name].registry if name in known.ARGUMENTS else place.registry)
        found = registry.get(inner["type"]) if isinstance(inner["type"], str) else inner["type"]
        if callable(found) and key in parameters_of(found).names:
            return f"; it is an argument of {name!r}, one level down"
    if place.registry is roots.DATASETS and key in known.DATALOADER_KEYS:
        return "; it is a setting of the dataloader, one level up"
    if place.registry is roots.OPTIMIZERS and key in (
        "clip_grad",
        "accumulative_counts",
        "paramwise_cfg",
        "constructor",
    ):
        return "; it is a setting of 'optim_wrapper', one level up"
    return None


def _get_from_any(kind: str) -> Any:
    """A nested node may belong to any registry: its parent's code decides."""
    for root in roots.ROOT_REGISTRIES:
        found = scoped(root).get(kind)
        if found is not None:
            return found
    return None


def _unknown(kind: str, registry: Registry) -> str:
    searched = scopes_searched(kind, registry)
    near = near_names(kind, registry)
    parts = [f"no {registry.name} is called {kind!r} (scopes searched: {', '.join(searched)})"]
    if near:
        parts.append(f"did you mean {' or '.join(map(repr, near))}?")
    parts.append(origin_of(kind, registry, searched) or ("" if near else hint_for(kind, registry)))
    return "; ".join(filter(None, parts))
