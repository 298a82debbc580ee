"""Names to classes and functions, in a tree of scopes."""

from __future__ import annotations

import copy
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ._build import build_from_cfg
from ._discovery import distribution_of, import_if_present, import_registry_of, object_at, register_all_modules_of
from ._scope import DefaultScope
from ._table import table_of
from ._tree import find_name, find_scope, line_of, tree_below
from ._vetting import vet
from .errors import DuplicateNameError, EmptyNameError, UsageTypeError, UsageValueError

__all__ = ["Registry"]

_LOGGER = logging.getLogger(__name__)
# What a block may change in a registry.
_CONTENTS = ("_module_dict", "_fallbacks", "_children", "_locations", "_absent", "_unknown_scopes")


class Registry:
    """A map from names to classes or functions, and the way to build one from a config.

    Registries form a tree: the root belongs to `eng`, each library adds a child with a scope of its own. A name is
    looked up here, then in the parents; ``scope.Name`` picks one registry of the tree; a dotted path that no registry
    knows (``torch.nn.ReLU``) is imported.

    Args:
        name: what it holds, such as ``"model"``.
        build_func: called as ``build_func(cfg, *args, registry=self, **kwargs)`` by `build`; None takes the parent's,
            and without a parent `build_from_cfg`.
        parent: where to look for what is not registered here.
        scope: a name without dots that is unique among the parent's children; None takes the first part of the name
            of the module that creates the registry.
        locations: modules to import on the first look-up of a name that is not there yet.

    Raises:
        TypeError: `parent` is not a Registry, or `scope` not a string.
        ValueError: `scope` holds a dot, or the parent has a child of this scope already.

    Examples:
        >>> ACTIVATIONS = Registry("activation", scope="example")
        >>> @ACTIVATIONS.register_module()
        ... class Clamp:
        ...     def __init__(self, low=0.0):
        ...         self.low = low
        >>> ACTIVATIONS.build(dict(type="Clamp", low=0.5)).low
        0.5
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = [],  # the reference's default, copied below
    ) -> None:
        self._name = name
        self._module_dict: dict[str, Any] = {}
        self._fallbacks: set[str] = set()
        self._children: dict[str, Registry] = {}
        self._locations = list(locations)
        self._imported = False
        self._absent: set[str] = set()
        self._package_of: dict[str, str] = {}
        self._scope = self.infer_scope() if scope is None else _checked_scope(scope)
        self._synonyms: frozenset[str] = frozenset((self._scope,))
        self._unknown_scopes: set[str] = set()
        self.parent: Registry | None = None
        if parent is not None:
            if not isinstance(parent, Registry):
                raise UsageTypeError(f"the parent of registry {name!r} must be a Registry, not {parent!r}")
            _add_child(parent, self)
            self.parent = parent
        self.build_func: Callable[..., Any] = build_func or (build_from_cfg if parent is None else parent.build_func)

    def __len__(self) -> int:
        return len(self._module_dict)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __repr__(self) -> str:
        return table_of(self._name, self._module_dict)

    @staticmethod
    def infer_scope() -> str:
        """The top-level package of the module that calls, seen from outside of this package."""
        frame: Any = inspect.currentframe()  # inspect.stack() reads source files, 1000 times slower
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("eng.registry."):
            frame = frame.f_back
        return str(frame.f_globals.get("__name__", "__main__")).split(".")[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """``"scope.Name"`` as ``("scope", "Name")``, ``"Name"`` as ``(None, "Name")``.

        Examples:
            >>> Registry.split_scope_key("mmdet.ResNet")
            ('mmdet', 'ResNet')
        """
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    @property
    def name(self) -> str:
        """What the registry holds."""
        return self._name

    @property
    def scope(self) -> str:
        """The registry's place in its tree."""
        return self._scope

    @property
    def module_dict(self) -> dict[str, Any]:
        """What is registered here, by name."""
        return self._module_dict

    @property
    def children(self) -> dict[str, Registry]:
        """The registries below this one, by scope."""
        return self._children

    @property
    def locations(self) -> tuple[str, ...]:
        """Modules that are imported on the first look-up of a name that is not there yet."""
        return tuple(self._locations)

    @property
    def root(self) -> Registry:
        """The topmost registry of the tree."""
        *_, topmost = line_of(self)
        return topmost

    def add_synonym(self, scope: str) -> None:
        """Lets `scope` stand for this registry's own scope in names, ``_scope_`` and the default scope."""
        self._synonyms |= {_checked_scope(scope)}

    def remove_synonym(self, scope: str) -> None:
        """Undoes `add_synonym`; the registry's own scope stays."""
        self._synonyms -= {scope} - {self._scope}

    def answers_to(self, scope: str) -> bool:
        """Whether `scope` is this registry's scope or one of its synonyms."""
        return scope in self._synonyms

    # Registering

    def register_module(self, name: str | Sequence[str] | None = None, force: bool = False, module: Any = None) -> Any:
        """Registers a class or function: as a decorator, or at once where `module` is given.

        Args:
            name: one name or several; None takes the name of the class or function.
            force: replace what has the name already.
            module: the class or function; None makes this a decorator.

        Raises:
            TypeError: `force` is no bool, `name` no name, or what is registered cannot be called.
            DuplicateNameError: the name is taken (a KeyError).

        Examples:
            >>> TOOLS = Registry("tool", scope="example")
            >>> @TOOLS.register_module(name=["add", "plus"])
            ... def add(a, b):
            ...     return a + b
            >>> TOOLS.build(dict(type="plus", a=1, b=2))
            3
        """
        if not isinstance(force, bool):
            raise TypeError(f"force must be True or False, not {force!r}")
        _check_names(name, self._name)
        if module is not None:
            self._register_module(module=module, module_name=name, force=force)
            return module

        def decorate(module: Any) -> Any:
            self._register_module(module=module, module_name=name, force=force)
            return module

        return decorate

    def _register_module(
        self, module: Any, module_name: str | Sequence[str] | None = None, force: bool = False
    ) -> None:
        if not callable(module):
            raise TypeError(f"only what can be called is registered in {self._label()}, not {module!r}")
        names = [module_name] if isinstance(module_name, str) else module_name or [module.__name__]
        for name in names:
            registered = self._module_dict.get(name)
            if name in self._fallbacks and registered is not None:
                self._fallbacks.discard(name)
                _LOGGER.info(
                    "%s: %s takes the name %r from %s", self._label(), _qualified(module), name, _qualified(registered)
                )
            elif registered is not None and not force and not _is_defined_again(registered, module):
                raise DuplicateNameError(
                    f"{name!r} is registered already in {self._label()}, as {_qualified(registered)}; "
                    f"register {_qualified(module)} under another name, or with force=True to replace it"
                )
            self._module_dict[name] = module

    def register_fallback(self, name: str, module: Any) -> None:
        """Registers under a name that gives way to whoever registers it, before or after; the log says so at level INFO.

        For what a package finds elsewhere and offers under its name there, as all of ``torch.optim``: a user's own class
        of that name must neither be hidden nor stop an import.

        Args:
            name: under which it is found.
            module: the class or function.

        Examples:
            >>> TOOLS = Registry("tool", scope="example")
            >>> TOOLS.register_fallback("Saw", complex)
            >>> @TOOLS.register_module()
            ... class Saw: ...
            >>> TOOLS.get("Saw") is Saw
            True
        """
        registered = self._module_dict.get(name)
        if registered is None:
            self._register_module(module, name)
            self._fallbacks.add(name)
        elif registered != module:
            _LOGGER.info(
                "%s: %s keeps the name %r from %s", self._label(), _qualified(registered), name, _qualified(module)
            )

    def register_absent(self, names: Iterable[str], package: str) -> None:
        """Notes names that a package would bring which is not installed: the error for one of them says how to install it.

        Args:
            names: as they would be registered; a name that is noted already keeps its package.
            package: as pip knows it.
        """
        for name in names:
            self._package_of.setdefault(name, package)

    # Looking up

    def get(self, key: str) -> Any:
        """The class or function called `key`, or None.

        Looks here, then in the parents; ``"scope.Name"`` in the registry of that scope; last, a dotted path is
        imported as it stands.

        Args:
            key: ``"Name"``, ``"scope.Name"`` or a dotted path.

        Raises:
            TypeError: `key` is not a string.
            EmptyNameError: `key` is empty, or ends with a dot (a KeyError and a RuntimeError).
            ImportError: a location fails to import, with its own traceback.

        Examples:
            >>> Registry("any", scope="example").get("math.hypot")(3, 4)
            5.0
        """
        module = self._module_dict.get(key) if isinstance(key, str) else None
        return module if module is not None else self._search(key)

    def _search(self, key: str) -> Any:
        if not isinstance(key, str):
            raise TypeError(f"a name in {self._label()} is a string, not {key!r}")
        if key == "" or key.endswith("."):
            after = f" after {key!r}" if key else ""
            raise EmptyNameError(f"a name in {self._label()} is not empty{after}; give the name of what is registered")
        scope, name = self.split_scope_key(key)
        module = None
        if scope is None or scope in self._synonyms:
            module = find_name(self, name)
        else:
            registry = self.of_scope(scope)
            module = None if registry is None else _find_below(registry, name)
        if module is None and scope is not None:
            module = find_name(self, key)  # a registered name may hold a dot
        return vet(key, object_at(key), self) if module is None else module

    def import_from_location(self) -> None:
        """Imports the modules of `locations`, once.

        A location that does not exist is passed over with a warning: names that other locations bring are found. The error
        about a name that nobody brings says which location is absent.

        Raises:
            ImportError: whatever a location raises, with its own traceback.
        """
        if self._imported:
            return
        # No lock: importlib's own lock makes a second thread wait, and lets a location look names up itself.
        absent = {location for location in self._locations if not import_if_present(location)}
        strangers = {location for location in absent if distribution_of(location) is None}
        if strangers - self._absent:
            _LOGGER.warning(
                "%s: there is no module %s, which it names as a location", self._label(), _listed(strangers)
            )
        self._absent |= strangers
        self._imported = absent == strangers
        if not self._locations:
            register_all_modules_of(self._scope)

    def absent_locations(self) -> list[str]:
        """Modules among the `locations` that do not exist, of this registry and its parents."""
        above = [] if self.parent is None else self.parent.absent_locations()
        return sorted(self._absent.union(above))

    def package_of_absent(self, name: str) -> str | None:
        """The package that would bring a name and is not installed (:meth:`register_absent`); None where nobody said so."""
        above = None if self.parent is None else self.parent.package_of_absent(name)
        return self._package_of.get(name, above)

    def missing_distributions(self) -> list[str]:
        """Distributions of ours whose modules would register something here, and which are not installed."""
        self.import_from_location()
        absent = [location for location in self._locations if location not in sys.modules]
        return sorted({name for location in absent if (name := distribution_of(location))})

    # Scopes

    def of_scope(self, scope: str) -> Registry | None:
        """The registry of `scope` in this tree, after importing ``<scope>.registry`` if need be; None without one."""
        registry = self._children.get(scope)
        if registry is None:  # an empty registry is false, so no `or`
            registry = find_scope(self.root, scope)
        if registry is None and import_registry_of(scope):
            registry = find_scope(self.root, scope)
        return registry

    def in_current_scope(self) -> Registry:
        """The registry of the default scope in this tree; this one where there is none."""
        current = DefaultScope.get_current_instance()
        if current is None or current.scope_name in self._synonyms:
            return self
        registry = self.of_scope(current.scope_name)
        if registry is None:
            self._warn_of_scope(current.scope_name)
            return self
        return registry

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> Iterator[Registry]:
        """Makes `scope` the default scope for a block, and gives its registry of this tree.

        Args:
            scope: the scope; None keeps the current one. A scope without a registry in this tree is warned about,
                and this registry serves instead.

        Examples:
            >>> ROOT = Registry("any", scope="example")
            >>> CHILD = Registry("any", parent=ROOT, scope="child")
            >>> with ROOT.switch_scope_and_registry("child") as registry:
            ...     registry is CHILD
            True
        """
        with DefaultScope.overwrite_default_scope(scope):
            yield self.in_current_scope()

    def scopes(self) -> list[str]:
        """The scopes of the whole tree, the root's first."""
        return [node.scope for node in tree_below(self.root)]

    def _warn_of_scope(self, scope: str) -> None:
        if scope not in self._unknown_scopes:  # once per registry, not once per object
            self._unknown_scopes.add(scope)
            _LOGGER.warning(
                "no scope %r among the %s registries (there are %s): names are looked up in %s. "
                "Check the spelling of default_scope or _scope_, or import the library that brings the scope",
                scope, self._name, ", ".join(self.scopes()), self._label(),
            )  # fmt: skip

    @contextmanager
    def isolated(self, *, empty: bool = False) -> Iterator[Registry]:
        """Undoes at the end of a block what the block changed in this registry and in those below it, for tests.

        Args:
            empty: whether the block begins without names, children, synonyms and locations.

        Examples:
            >>> TOOLS = Registry("tool", scope="example")
            >>> with TOOLS.isolated():
            ...     _ = TOOLS.register_module(module=complex)
            >>> "complex" in TOOLS
            False
        """
        nodes = list(tree_below(self))
        saved = [dict(vars(node)) for node in nodes]
        for node in nodes:
            vars(node).update({key: copy.copy(value) for key, value in vars(node).items() if key in _CONTENTS})
        if empty:
            vars(self).update(vars(Registry(self._name, self.build_func, scope=self._scope)), parent=self.parent)
        try:
            yield self
        finally:
            for node, attributes in zip(nodes, saved, strict=True):
                vars(node).update(attributes)

    # Building

    def build(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """An object built from `cfg` by the registry's `build_func`.

        Args:
            cfg: a mapping whose ``type`` names the class or function (or is it), the other keys its arguments.
            *args: for the build function.
            **kwargs: for the build function, such as ``default_args``.

        Raises:
            UnknownTypeError: nobody registered the name (a KeyError).
            Exception: whatever the constructor raises, with a note of the nodes around it.

        Examples:
            >>> from fractions import Fraction
            >>> NUMBERS = Registry("number", scope="example")
            >>> NUMBERS.build(dict(type=Fraction, numerator=3), default_args=dict(denominator=4))
            Fraction(3, 4)
        """
        return self.build_func(cfg, *args, **kwargs, registry=self)

    def _label(self) -> str:
        return f"registry {self._name!r} of scope {self._scope!r}"


def _listed(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _add_child(parent: Registry, child: Registry) -> None:
    if child.scope in parent.children:
        raise UsageValueError(
            f"registry {parent.name!r} of scope {parent.scope!r} has a child of scope {child.scope!r} already"
        )
    parent.children[child.scope] = child


def _checked_scope(scope: object) -> str:
    if not isinstance(scope, str):
        raise UsageTypeError(f"a scope should be a string, not {scope!r}")
    if not scope or "." in scope:
        raise UsageValueError(f"a scope is one word without dots, not {scope!r}")
    return scope


def _check_names(name: object, registry: str) -> None:
    if name is None or isinstance(name, str):
        return
    if isinstance(name, Sequence) and all(isinstance(item, str) for item in name):
        return
    hint = "; write @register_module() with parentheses" if callable(name) else ""
    raise TypeError(f"a name in registry {registry!r} is a string or several strings, not {name!r}{hint}")


def _find_below(registry: Registry, name: str) -> Any:
    """What `registry` calls `name`, in which further scopes may stand: ``"little_hound.Mark"``."""
    scope, dot, inner = name.partition(".")
    if dot and scope in registry.children:
        return _find_below(registry.children[scope], inner)
    return find_name(registry, name)


def _is_defined_again(registered: Any, module: Any) -> bool:
    """Whether a cell of a notebook, or a line of a prompt, that defines the class was run once more."""
    return (
        registered is not module
        and getattr(module, "__module__", None) == "__main__"
        and _qualified(registered) == _qualified(module)
    )


def _qualified(module: Any) -> str:
    return f"{getattr(module, '__module__', '?')}.{getattr(module, '__qualname__', repr(module))}"
