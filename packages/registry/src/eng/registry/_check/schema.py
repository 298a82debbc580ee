"""Describes what a config may contain; the package that builds the config provides such a description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._registry import Registry


@dataclass(frozen=True)
class Node:
    """Describes a config value that a registry builds: a mapping with ``type``, or a list of such mappings.

    Attributes:
        registry: the registry in which ``type`` is looked up.
        default: the type used for a mapping without ``type``, or a function that chooses it; None for no default.
        extra: keys that the building code removes from the mapping before it calls the class.
        supplied: arguments that the building code adds, so that the config need not contain them.
        children: descriptions of those arguments that mean the same for every class in the registry.
        needs_type: whether a mapping without ``type`` is a mistake.
        levels_up: for keys that users often write in this mapping although they belong into a surrounding one: maps
            the advice in the message to these keys.
        takes_data: whether a list of mappings without ``type`` is allowed as data, such as the samples of a dataset.
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
        """Returns the type that is used for a mapping without ``type``; None if the node has no default type."""
        if callable(self.default):
            return self.default(node)
        return self.default


@dataclass(frozen=True)
class Plain:
    """Describes a config mapping without ``type`` that has fixed keys.

    Attributes:
        noun: name of the mapping in messages, such as ``"a dataloader"``; if empty, messages show its path.
        keys: the allowed keys.
        children: descriptions of the values of some keys; these keys are allowed too.
        required: keys that must be present.
        is_strict: whether an unknown key raises an error when the mapping is used; otherwise it is ignored.
        is_open: whether other code may read further keys, so that a key is unknown only if no source file mentions it.
        needs_near: for an open mapping, whether a key is reported only if it also resembles a known key.
        others: description of the values under all other keys, if users choose these keys freely; None if other keys
            are not allowed.
        is_single: whether a list in place of the mapping is one value, such as a list of batches, and is not checked;
            otherwise each item of the list is checked as such a mapping.
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


# The description of one config value. A function is used for a key whose value can have several forms: the function
# receives the value and returns its description, or None if the value is not checked.
Shape: TypeAlias = "Node | Plain | Callable[[Any], Node | Plain | None]"


@dataclass(frozen=True)
class Schema:
    """Describes a complete config, such as the config of a run.

    Attributes:
        keys: the top-level keys that a run reads; all other keys are variables of the user.
        sections: descriptions of the values of some top-level keys.
        later: those top-level keys whose values a run builds later than at its start, so that a mistake in them does
            not stop the run at once.
        in_doubt: returns, for a config, those top-level keys whose values are built by code of a library, not of eng.
        arguments: maps the names of arguments that contain a config mapping in every class, such as ``norm_cfg``, to
            the description of that mapping.
        homes: maps keys that have no effect at the top level to the top-level key inside which they belong.
        scope: the default scope of a config that does not set ``default_scope``; None for no scope.
    """

    keys: frozenset[str]
    sections: Mapping[str, Shape]
    later: frozenset[str] = frozenset()
    in_doubt: Callable[[Mapping[str, Any]], frozenset[str]] = lambda _: frozenset()
    arguments: Mapping[str, Node] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    scope: str | None = None
