"""What a whole config may hold, as a value that whoever builds the config gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._registry import Registry


@dataclass(frozen=True)
class Node:
    """A mapping with ``type``, or a list of such mappings, that is built by a registry.

    Attributes:
        registry: in which ``type`` is looked up.
        default: the type of a mapping without one, or how to choose it; None where nothing fills in a type.
        extra: keys that whoever builds the node takes out before.
        supplied: arguments that whoever builds the node adds.
        children: arguments whose values have a shape, whatever the class of the node is.
        needs_type: whether a mapping without ``type`` cannot be built.
        levels_up: keys that are sometimes written here and belong further up, by the words that say where.
        takes_data: whether a list of mappings without ``type`` may stand in its place, as the samples themselves.
    """

    registry: Registry
    default: str | Callable[[Mapping[str, Any]], str] | None = None
    extra: frozenset[str] = frozenset()
    supplied: frozenset[str] = frozenset()
    children: Mapping[str, Shape] = field(default_factory=dict)
    needs_type: bool = True
    levels_up: Mapping[str, frozenset[str]] = field(default_factory=dict)
    takes_data: bool = False

    def default_of(self, node: Mapping[str, Any]) -> str | None:
        """The type of a mapping without one."""
        if callable(self.default):
            return self.default(node)
        return self.default


@dataclass(frozen=True)
class Plain:
    """A mapping without ``type`` whose keys are fixed.

    Attributes:
        noun: what the mapping is called in messages, such as ``"a dataloader"``; empty takes its key.
        keys: the keys that have a meaning.
        children: shapes of the values that have one.
        required: keys without which nothing can be built.
        is_strict: whether an unknown key makes the building fail; otherwise it has no effect.
        is_open: whether code elsewhere may read further keys, so that only what no code mentions is unknown.
        needs_near: of an open mapping, whether a key must be near a known one too.
        others: the shape of the values under all other keys, which then are names that users choose.
        is_single: whether a list is an object, such as a list of batches, and not several parts.
    """

    noun: str = ""
    keys: frozenset[str] = frozenset()
    children: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    is_strict: bool = False
    is_open: bool = False
    needs_near: bool = False
    others: Shape | None = None
    is_single: bool = False


# A function chooses by the value, where a key may hold one of several shapes.
Shape: TypeAlias = "Node | Plain | Callable[[Any], Node | Plain | None]"


@dataclass(frozen=True)
class Schema:
    """The parts of a whole config.

    Attributes:
        keys: keys with a meaning at the top; all others are variables of the user.
        sections: the shape of what stands under some of them.
        later: sections that a run does not build at its start, so that nothing in them stops it.
        in_doubt: the sections of a config that other code than usual builds.
        arguments: names of arguments that hold nodes, whatever takes them, with the registry of these nodes.
        homes: keys that have an effect only inside of another key: the other key by name.
        scope: the default scope of a config without one.
    """

    keys: frozenset[str]
    sections: Mapping[str, Shape]
    later: frozenset[str] = frozenset()
    in_doubt: Callable[[Mapping[str, Any]], frozenset[str]] = lambda _: frozenset()
    arguments: Mapping[str, Node] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    scope: str | None = None
