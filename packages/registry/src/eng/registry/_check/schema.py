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
        extra: keys that the builder removes before it calls the class.
        supplied: arguments that the builder adds.
        children: descriptions of arguments that are the same for every class.
        needs_type: whether a mapping without ``type`` is a mistake.
        levels_up: keys that users write here by mistake and that belong further up, by the advice for the message.
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
        """Returns the type that is used for a mapping without ``type``; None without a default."""
        if callable(self.default):
            return self.default(node)
        return self.default


@dataclass(frozen=True)
class Plain:
    """Describes a config mapping without ``type`` that has fixed keys.

    Attributes:
        noun: name of the mapping in messages, such as ``"a dataloader"``; empty uses its key.
        keys: the allowed keys.
        children: descriptions of the values of some keys.
        required: keys that must be present.
        is_strict: whether an unknown key raises an error when the mapping is used; otherwise it is ignored.
        is_open: whether other code may read further keys, so that a key is unknown only if no source file mentions it.
        needs_near: for an open mapping, whether a key is reported only if it also resembles a known key.
        others: description of the values under all other keys, which are names chosen by the user; None for none.
        is_single: whether a list is one value, such as a list of batches, and not a list of such mappings.
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


# If a key can have values of several shapes, a function chooses the description from the value.
Shape: TypeAlias = "Node | Plain | Callable[[Any], Node | Plain | None]"


@dataclass(frozen=True)
class Schema:
    """Describes a complete config, such as the config of a run.

    Attributes:
        keys: the top-level keys with a meaning; all other keys are variables of the user.
        sections: descriptions of the values of some top-level keys.
        later: sections that a run does not build at its start, so that a mistake in them does not stop it.
        in_doubt: returns the sections of a config that are built by code of a library instead of eng.
        arguments: arguments that contain a config mapping in any class, such as ``norm_cfg``, with its description.
        homes: keys that have an effect only inside another key -> that other key.
        scope: default scope of a config that sets none.
    """

    keys: frozenset[str]
    sections: Mapping[str, Shape]
    later: frozenset[str] = frozenset()
    in_doubt: Callable[[Mapping[str, Any]], frozenset[str]] = lambda _: frozenset()
    arguments: Mapping[str, Node] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    scope: str | None = None
