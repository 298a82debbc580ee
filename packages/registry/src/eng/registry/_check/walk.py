"""Walks through a config and checks every mapping in it against its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, TypeAlias

from .._nearness import did_you_mean, is_slip_of, or_mean
from .._nodes import location_of, nodes_below
from .._registry import Registry
from .._scope import DefaultScope
from .._signatures import parameters_of
from .findings import Finding
from .node import RESERVED, Context, all_names, check_call, in_default_scope, resolve_or_find, unknown_scope
from .schema import Node, Plain, Schema, Shape
from .suspicion import Suspicion, confirm

Items: TypeAlias = Iterator["Finding | Suspicion"]
_LONG = 10
_NO_SCHEMA = Schema(frozenset(), {})


def check(cfg: Any, schema: Schema | Node | Registry | None = None) -> list[Finding]:
    """Finds mistakes in a config without building objects from it.

    Mistakes are what would raise an error in a run, and keys that the run would ignore. A finding is certain if
    building its part of the config certainly raises an error. In a part that code of another library builds, a key is
    reported only if no source code mentions the key, and the finding is not certain.

    Args:
        cfg: a complete config; or, if `schema` is a registry or `Node`, a mapping with ``type`` or a list of those.
        schema: the description of a complete config; top-level keys that the description does not contain are
            variables of the user. Or the registry in which the ``type`` of `cfg` is looked up, or a `Node` if the code
            that builds `cfg` adds arguments. None uses ``eng.runner.schema.SCHEMA``, the description of the config of
            a run.

    Returns:
        The findings in the order of the config; an empty list if there are none.

    Raises:
        TypeError: `cfg` is neither a mapping nor a list.
        ImportError: the import of a module that registers classes fails; or `schema` is None and eng-runner is not
            installed.

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
    if isinstance(schema, (Registry, Node)):
        if isinstance(schema, Node):
            node = schema
        else:
            node = Node(schema)
        context = Context(node.registry.name.replace(" ", "_"), is_known=True)
        walk = _Walk(_NO_SCHEMA)
        return confirm(list(walk.visit(cfg, node, context)), walk.packages)
    if schema is None:
        # This package must not depend on eng-runner, so it imports `eng.runner` only where its schema is needed.
        schema = import_module("eng.runner.schema").SCHEMA
        assert isinstance(schema, Schema)
    if not isinstance(cfg, Mapping):
        if not (hasattr(cfg, "keys") and hasattr(cfg, "items")):
            raise TypeError(f"a whole config is a mapping, not {type(cfg).__name__}; for a node give its registry")
        cfg = _mapping_behind(cfg)
    scope = cfg.get("default_scope") or schema.scope
    with DefaultScope.overwrite_default_scope(scope if isinstance(scope, str) else None):
        walk = _Walk(schema)
        return confirm(list(walk.config(cfg)), walk.packages)


def _mapping_behind(cfg: Any) -> Mapping[str, Any]:
    """Returns the mapping inside a `Config`, which records the file and line of each value.

    For an object of another class, returns a dict of the object's items.
    """
    inner = getattr(cfg, "_cfg_dict", None)
    if isinstance(inner, Mapping):
        return inner
    return dict(cfg.items())


class _Walk:
    """One check of a config: visits all nested values and yields findings and suspicions (possible mistakes).

    Attributes:
        packages: the packages that define the types in the config, collected while the values are visited.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.packages: set[str] = set()

    def config(self, cfg: Mapping[str, Any]) -> Items:
        """Checks a complete config: its default scope, its top-level keys, and the value of each described key."""
        yield from unknown_scope(cfg.get("default_scope"), "default_scope", cfg, "default_scope")
        in_doubt = self._schema.in_doubt(cfg)
        for key, value in cfg.items():
            yield from self._top_key(key, value, cfg)
            if key in self._schema.sections:
                context = Context(key, key not in in_doubt, key not in self._schema.later, is_named=True)
                yield from self.visit(value, self._schema.sections[key], context)

    def _top_key(self, key: str, value: Any, cfg: Mapping[str, Any]) -> Items:
        """Yields a finding for a top-level key that a run would ignore.

        Such a key is a misspelling of a known key, or belongs inside another key. Other unknown keys are variables of
        the user.
        """
        known, homes = self._schema.keys, self._schema.homes
        if key in known:
            candidates = []
        else:
            candidates = [candidate for candidate in sorted(known) if is_slip_of(key, candidate)]
        if key in known or not (candidates or key in homes) or _is_used_elsewhere(key, value, cfg, candidates):
            return
        where = location_of(cfg, key)
        if candidates:
            message = f"no key {key!r} is known here; {did_you_mean(candidates)}"
            yield Finding("unknown-key", key, message, where, is_certain=False)
        elif isinstance(value, Mapping) and "type" in value and homes[key] not in cfg:
            message = f"{key!r} has no effect at the top of a config; it belongs in {homes[key]!r}"
            yield Finding("misplaced-key", key, message, where, is_certain=False)

    def visit(self, value: Any, shape: Shape | None, context: Context) -> Items:
        """Checks a config value by its description: the value itself if it is a mapping, each item if it is a list.

        Other values, such as numbers, are not checked.
        """
        if isinstance(value, (list, tuple)):
            if _is_one_object(value, shape):
                return
            for index, item in enumerate(value):
                yield from self.visit(item, shape, context.below(f"[{index}]"))
        elif isinstance(value, Mapping):
            if isinstance(shape, (Node, Plain)) or shape is None:
                chosen = shape
            else:
                chosen = shape(value)
            if isinstance(chosen, Node):
                yield from self._node(value, chosen, context)
            elif isinstance(chosen, Plain):
                yield from self._plain(value, chosen, context)

    def _plain(self, value: Mapping[str, Any], shape: Plain, context: Context) -> Items:
        """Checks a config mapping without ``type``: unknown and missing keys, and the values of the described keys.

        Args:
            value: the mapping.
            shape: the description of the mapping.
            context: the position of the mapping in the config.
        """
        noun = shape.noun or repr(context.path)
        known = shape.keys | shape.children.keys()
        for key, inner in value.items():
            child = context.below(f".{key}")
            if key not in known and shape.others is None:
                home = _home_of(key, value, shape) or or_mean(str(key), known)
                certain = shape.is_strict and context.is_certain
                finding = Finding(
                    "unknown-key", child.path, f"{noun} has no key {key!r}{home}", location_of(value, key), certain
                )
                # A misspelling such as "backed" may occur as a word in the code of a library, so that a search of the
                # code would not confirm the mistake. If the correct key "backend" is absent from the mapping, the
                # misspelling is therefore reported without a search.
                is_slip = any(name not in value and is_slip_of(str(key), name) for name in known)
                if shape.is_open and (shape.needs_near or not is_slip):
                    yield Suspicion(finding, str(key), known, is_sure=not shape.needs_near)
                else:
                    yield finding
            elif key not in known and any(is_slip_of(str(key), candidate) for candidate in known):
                message = f"{noun} has no key {key!r}{or_mean(str(key), known)}"
                yield Finding("unknown-key", child.path, message, location_of(value, key), is_certain=False)
            yield from self.visit(inner, shape.children.get(key, shape.others), child)
        for key in shape.required:
            if key not in value:
                where = location_of(value, None)
                yield Finding("missing-argument", context.path, f"{noun} needs {key!r}", where, context.is_certain)

    def _node(self, node: Mapping[str, Any], shape: Node, context: Context) -> Items:
        """Checks a config mapping that a registry builds: scope, ``type``, arguments, and the mappings inside.

        If the mapping has no ``type``, or the type is unknown, its arguments cannot be compared with a signature.
        """
        scope = node.get("_scope_")
        yield from unknown_scope(scope, f"{context.path}._scope_", node, "_scope_")
        if "type" not in node and (shape.default is None or _misspelt_type(node) is not None):
            yield from self._untyped(node, shape, context)
            yield from self._arguments(node, shape, context, factory=None)
            return
        with DefaultScope.overwrite_default_scope(scope if isinstance(scope, str) and scope else None):
            factory, items = resolve_or_find(node, shape, context)
            yield from items
            if factory is None:
                yield from self._unread_keys(node, context)
            else:
                self.packages.add(str(getattr(factory, "__module__", "")).partition(".")[0])
                yield from check_call(factory, node, shape, context, self._schema)
            yield from self._arguments(node, shape, context, factory)

    def _untyped(self, node: Mapping[str, Any], shape: Node, context: Context) -> Items:
        """Yields findings for a config mapping without ``type``.

        A missing or misspelled ``type`` is reported if a registry certainly builds the mapping. If that is not known,
        a key that looks like a misspelled ``type`` is reported as uncertain. Without such a key, code of a library may
        read the mapping, and each of its keys is only a suspicion (a possible mistake).
        """
        slip = next((key for key in node if isinstance(key, str) and is_slip_of(key, "type")), None)
        path, where = f"{context.path}.{slip}" if slip else context.path, location_of(node, slip)
        if context.is_known and shape.needs_type:
            if slip:
                advice = f"did you mean it by {slip!r}?"
            else:
                advice = f"it has {', '.join(map(repr, node)) or 'none'}"
            message = f'a {shape.registry.name} must contain the key "type"; {advice}'
            yield Finding("missing-type", path, message, where, context.is_certain)
        elif slip is not None and (shape.needs_type or _is_type(node[slip])):
            yield Finding(
                "missing-type", path, f"no 'type' here; did you mean it by {slip!r}?", where, is_certain=False
            )
        else:
            yield from self._unread_keys(node, context)

    def _unread_keys(self, node: Mapping[str, Any], context: Context) -> Items:
        """Yields a suspicion (possible mistake) for every key of a mapping of which no class or type is known.

        The suspicion about a key is reported only if no source code contains the key.
        """
        for key in node:
            if isinstance(key, str) and key.isidentifier() and key not in RESERVED:
                path, where = f"{context.path}.{key}", location_of(node, key)
                finding = Finding("unknown-key", path, f"no code reads the key {key!r}", where, is_certain=False)
                yield Suspicion(finding, key, group=context.group or context.path)

    def _arguments(self, node: Mapping[str, Any], shape: Node, context: Context, factory: Any) -> Items:
        """Checks those values in a node, a config mapping, that are mappings or lists themselves.

        Args:
            node: the config mapping.
            shape: the description of the node.
            context: the position of the node in the config.
            factory: the class or function that receives the values as arguments; None if it is unknown.
        """
        is_ours = context.is_known and getattr(factory, "__module__", "").startswith("eng.")
        if factory is None:
            parents = context.parents
        else:
            parents = *context.parents, factory
        for key, value in node.items():
            if not isinstance(value, (Mapping, list, tuple)):
                continue
            if key in shape.children:
                below = replace(context.below(f".{key}"), parents=parents)
                yield from self.visit(value, shape.children[key], below)
                continue
            inner = self._schema.arguments.get(key)
            path = f"{context.path}.{key}"
            if factory is not None:
                group = path
            else:
                group = context.group or path
            inside = Context(path, is_ours and inner is not None, context.stops, parents, group, inner is not None)
            yield from self.visit(value, inner or Node(shape.registry, needs_type=False), inside)


def _is_one_object(items: Sequence[Any], shape: Shape | None) -> bool:
    """Whether a list is one value, such as a list of samples, and not a list of config mappings to check one by one."""
    if isinstance(shape, Plain):
        return shape.is_single
    if isinstance(shape, Node) and shape.takes_data:
        return not any(isinstance(item, Mapping) and "type" in item for item in items)
    return False


def _is_type(value: Any) -> bool:
    """Whether a value can be a ``type``: a registered name, a class or a function."""
    return callable(value) or (isinstance(value, str) and value in all_names())


def _misspelt_type(node: Mapping[str, Any]) -> str | None:
    """Returns the misspelled key, such as ``typ``, under which a mapping has its ``type``; None if there is none.

    The value under that key must be a registered name.
    """
    slips = (key for key in node if isinstance(key, str) and is_slip_of(key, "type") and isinstance(node[key], str))
    return next((key for key in slips if node[key] in all_names()), None)


def _is_used_elsewhere(key: str, value: Any, cfg: Mapping[str, Any], candidates: list[str]) -> bool:
    """Whether an unknown top-level key is a variable of the user: another part of the config contains its value.

    Args:
        key: the unknown top-level key.
        value: the value of `key`.
        cfg: the complete config.
        candidates: known keys that are spelled like `key`. Another top-level key with the same value counts only if
            all candidates are present. Otherwise an equal ``val_dataloader`` would hide a misspelled
            ``test_dataloader``.
    """
    if not isinstance(value, (Mapping, list, tuple)) or not value:
        return False
    if any(len(section_key) >= _LONG and section_key not in cfg for section_key in candidates):
        return False  # A long key that is spelled like a known key, which the config lacks, is a misspelling.
    others = [section for section_key, section in cfg.items() if section_key != key]
    below = (inner for section in others for _, inner in nodes_below(section))
    return any(inner == value for inner in below) or (set(candidates) <= set(cfg) and value in others)


def _home_of(key: Any, node: Mapping[str, Any], shape: Plain) -> str | None:
    """Returns advice if an unknown key of `node` is an argument of a class that a mapping inside `node` names.

    The key then belongs into that mapping, one level down. Returns None if it does not.
    """
    for name, value in node.items():
        type_or_name = None
        if isinstance(value, Mapping):
            type_or_name = value.get("type")
        inner = shape.children.get(name)
        if type_or_name is not None and isinstance(inner, Node):
            factory = type_or_name
            if isinstance(type_or_name, str) and type_or_name:
                factory = in_default_scope(inner.registry).get(type_or_name)
            if callable(factory) and key in parameters_of(factory).names:
                return f"; it is an argument of {name!r}, one level down"
    return None
