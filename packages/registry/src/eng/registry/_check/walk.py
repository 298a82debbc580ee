"""The walk through a config: which place each key has, and what its node lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eng.registry._nodes import location_of, nodes_below
from eng.registry._registry import Registry
from eng.registry._scope import DefaultScope

from . import known
from .findings import Finding
from .known import Place
from .nearness import is_slip_of, or_mean
from .node import check_call, resolve_or_find, unknown_scope
from .signatures import parameters_of


def check(cfg: Any, registry: Registry | None = None) -> list[Finding]:
    """Everything that would go wrong when `cfg` is built, without building any of it.

    Args:
        cfg: a whole config; or, with `registry`, one node (a mapping with ``type``) or a list of nodes.
        registry: where the ``type`` of `cfg` is looked up; None reads `cfg` as a whole config, in which each known
            key has its registry and an unknown key that is nearly a known one is a finding. Other keys are taken for
            the user's variables.

    Returns:
        the findings, in the order of the config; an empty list for a config that is proven.

    Raises:
        TypeError: `cfg` is neither a mapping nor a list.
        ImportError: a module that registers parts fails to import, with its own traceback.

    Examples:
        >>> from eng.registry import Registry
        >>> SHAPES = Registry("shape", scope="example")
        >>> @SHAPES.register_module()
        ... class Square:
        ...     def __init__(self, side: float, colour: str = "red"):
        ...         pass
        >>> for finding in check(dict(type="Square", sid=3), SHAPES):
        ...     print(finding)
        shape.sid: Square takes no argument 'sid'; did you mean 'side'?
        shape: Square needs the argument 'side' (float)
    """
    if registry is not None:
        return list(_check_nodes(cfg, Place(registry), registry.name.replace(" ", "_")))
    if not isinstance(cfg, Mapping):
        if not (hasattr(cfg, "keys") and hasattr(cfg, "items")):
            raise TypeError(f"a whole config is a mapping, not {type(cfg).__name__}; for a node give its registry too")
        cfg = _mapping_behind(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        return list(_check_config(cfg))


def _mapping_behind(cfg: Any) -> Mapping[str, Any]:
    """The mapping of an object that only behaves like one, with its provenance where it has any."""
    inner = getattr(cfg, "_cfg_dict", None)
    return inner if isinstance(inner, Mapping) else dict(cfg.items())


def _check_config(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    scope = cfg.get("default_scope")
    if scope is not None:
        yield from unknown_scope(scope, known.SECTIONS["model"].registry, "default_scope", cfg, "default_scope")
    for key, value in cfg.items():
        yield from _check_top_key(key, value, cfg)
        yield from _check_section(key, value)


def _check_top_key(key: str, value: Any, cfg: Mapping[str, Any]) -> Iterator[Finding]:
    meant = known.top_keys()
    if key in meant:
        return
    near = [other for other in sorted(meant) if is_slip_of(key, other)]
    if not near and key not in known.ARGUMENT_HOMES:
        return
    if _is_used_elsewhere(key, value, cfg):
        return
    if near:
        message = f"no key {key!r} is known here; did you mean {' or '.join(map(repr, near))}?"
        yield Finding("unknown-key", key, message, location_of(cfg, key))
    elif isinstance(value, Mapping) and "type" in value:
        message = f"{key!r} has no effect at the top of a config; it belongs in {known.ARGUMENT_HOMES[key]!r}"
        yield Finding("misplaced-key", key, message, location_of(cfg, key), is_certain=False)


def _is_used_elsewhere(key: str, value: Any, cfg: Mapping[str, Any]) -> bool:
    """Whether a variable of the user went into another part of the config, which is what variables are for."""
    if not isinstance(value, (Mapping, list, tuple)) or not value:
        return False
    others = (node for other, section in cfg.items() if other != key for node in ({"": section}, section))
    return any(found == value for section in others for _, found in nodes_below(section))


def _check_section(key: str, value: Any) -> Iterator[Finding]:
    yield from _check_plain(key, value)
    if key in known.DATALOADERS:
        yield from _check_dataloader(value, key)
    elif key == "default_hooks":
        yield from _check_default_hooks(value, key)
    elif key in ("val_evaluator", "test_evaluator"):
        yield from _check_nodes(value, known.place_of_evaluator(value), key)
    elif key == "optim_wrapper" and _is_group_of_wrappers(value):
        for name, wrapper in value.items():
            if isinstance(wrapper, Mapping):
                yield from _check_nodes(wrapper, known.SECTIONS[key], f"{key}.{name}")
    elif key == "train_cfg" and isinstance(value, Mapping):
        place = known.SECTIONS[key]
        yield from _check_nodes(value, Place(place.registry, known.default_loop(value), place.extra), key)
    elif key in known.SECTIONS:
        yield from _check_nodes(value, known.SECTIONS[key], key)


def _is_group_of_wrappers(value: Any) -> bool:
    """Whether several named optim wrappers stand here, as for a GAN."""
    if not isinstance(value, Mapping) or "type" in value or "optimizer" in value:
        return False
    return any(isinstance(each, Mapping) and "optimizer" in each for each in value.values())


def _check_plain(path: str, value: Any) -> Iterator[Finding]:
    """Mappings without a type whose keys are fixed."""
    if not isinstance(value, Mapping):
        return
    keys = known.PLAIN.get(path, frozenset(value))
    for key in value:
        if key not in keys:
            message = f"{path!r} has no key {key!r}{or_mean(key, keys)}"
            yield Finding("unknown-key", f"{path}.{key}", message, location_of(value, key))
    has_own_rules = path == "optim_wrapper" and "constructor" in value
    for key, inner in value.items():
        if f"{path}.{key}" in known.PLAIN and not (has_own_rules and key == "paramwise_cfg"):
            yield from _check_plain(f"{path}.{key}", inner)


def _check_dataloader(value: Any, path: str) -> Iterator[Finding]:
    for index, each in enumerate(value) if isinstance(value, (list, tuple)) else ():
        yield from _check_dataloader(each, f"{path}[{index}]")
    if not isinstance(value, Mapping):
        return
    for key in value:
        if key not in known.DATALOADER_KEYS:
            message = (
                f"a dataloader has no setting {key!r}{_home_of(key, value) or or_mean(key, known.DATALOADER_KEYS)}"
            )
            yield Finding("unknown-argument", f"{path}.{key}", message, location_of(value, key))
    if "dataset" not in value:
        yield Finding("missing-argument", path, "a dataloader needs 'dataset'", location_of(value, None))
    for key, place in known.DATALOADER_SECTIONS.items():
        if isinstance(value.get(key), (Mapping, list)):
            yield from _check_nodes(value[key], place, f"{path}.{key}")


def _check_default_hooks(value: Any, path: str) -> Iterator[Finding]:
    for key, hook in value.items() if isinstance(value, Mapping) else ():
        near = [] if key in known.DEFAULT_HOOKS else [other for other in known.DEFAULT_HOOKS if is_slip_of(key, other)]
        if near:
            message = f"no default hook is called {key!r}; did you mean {' or '.join(map(repr, near))}?"
            yield Finding("unknown-key", f"{path}.{key}", message, location_of(value, key))
        yield from _check_nodes(hook, known.HOOK, f"{path}.{key}")


def _check_nodes(value: Any, place: Place, path: str, *, is_guess: bool = False) -> Iterator[Finding]:
    """`value` as a node, a list of nodes, or something else that is nothing to check."""
    if isinstance(value, Mapping):
        yield from _check_node(value, place, path, is_guess=is_guess)
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _check_nodes(each, place, f"{path}[{index}]", is_guess=is_guess)


def _check_node(node: Mapping[str, Any], place: Place, path: str, *, is_guess: bool) -> Iterator[Finding]:
    scope = node.get("_scope_")
    if scope is not None:
        yield from unknown_scope(scope, place.registry, f"{path}._scope_", node, "_scope_")
    if "type" not in node and place.default is None:
        yield from _check_untyped(node, place, path, is_guess=is_guess)
        return
    with DefaultScope.overwrite_default_scope(scope):
        factory, findings = resolve_or_find(node, place, path, is_guess=is_guess)
        yield from findings
        if factory is not None:
            yield from check_call(factory, node, place, path, is_guess=is_guess)
        yield from _check_arguments(node, place, path)


def _check_untyped(node: Mapping[str, Any], place: Place, path: str, *, is_guess: bool) -> Iterator[Finding]:
    slip = next((key for key in node if isinstance(key, str) and is_slip_of(key, "type")), None)
    if slip is not None:
        yield Finding(
            "missing-type", f"{path}.{slip}", f"no 'type' here; did you mean it by {slip!r}?", location_of(node, slip)
        )
    elif not is_guess:
        message = f"a {place.registry.name} needs the key 'type'; it has {', '.join(map(repr, node)) or 'none'}"
        yield Finding("missing-type", path, message, location_of(node, None))
    yield from _check_arguments(node, place, path)


def _check_arguments(node: Mapping[str, Any], place: Place, path: str) -> Iterator[Finding]:
    """The nodes among the arguments of a node."""
    for key, value in node.items():
        if isinstance(value, (Mapping, list, tuple)) and f"{path}.{key}" not in known.PLAIN:
            inner = known.ARGUMENTS.get(key)
            yield from _check_nodes(value, inner or Place(place.registry), f"{path}.{key}", is_guess=True)


def _home_of(key: str, node: Mapping[str, Any]) -> str | None:
    """Where an argument of a neighbour belongs, in words."""
    for name, value in node.items():
        factory = value.get("type") if isinstance(value, Mapping) else None
        place = known.DATALOADER_SECTIONS.get(name)
        if factory is not None and place is not None:
            found = place.registry.in_current_scope().get(factory) if isinstance(factory, str) else factory
            if found is not None and key in parameters_of(found).names:
                return f"; it is an argument of {name!r}, one level down"
    return None
