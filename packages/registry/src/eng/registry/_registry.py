"""`Registry`, which maps names to classes and functions and builds objects from configs."""

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
# The attributes of a registry that `Registry.isolated` saves and restores.
_CONTENTS = ("_module_dict", "_fallbacks", "_children", "_locations", "_absent", "_unknown_scopes")


class Registry:
    """Maps names to classes or functions, and builds objects from configs that name one of them.

    Registries form a tree: the root belongs to `eng`, and each library adds a child registry with its own scope. A name
    is looked up in this registry, then in its parents. ``scope.Name`` selects the registry of that scope. A dotted path
    that is not registered, such as ``torch.nn.ReLU``, is imported.

    Args:
        name: what the registry contains, such as ``"model"``.
        build_func: called as ``build_func(cfg, *args, registry=self, **kwargs)`` by `build`; None uses the parent's
            function, or `build_from_cfg` without a parent.
        parent: the registry that is searched for names that are not registered here.
        scope: a name without dots, unique among the parent's children; None uses the top-level package of the module
            that creates the registry.
        locations: modules that register classes here; they are imported when an unknown name is looked up first.

    Raises:
        TypeError: `parent` is not a Registry, or `scope` is not a string.
        ValueError: `scope` contains a dot, or the parent already has a child with this scope.

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
        locations: Sequence[str] = [],  # The same default as in MMEngine. The list is copied below.
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
        """Returns the top-level package of the code that called this package, such as ``"mmdet"``."""
        frame: Any = inspect.currentframe()  # `inspect.stack()` takes 1000 times as long: it reads source files.
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("eng.registry."):
            frame = frame.f_back
        return str(frame.f_globals.get("__name__", "__main__")).split(".")[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Splits ``"scope.Name"`` into ``("scope", "Name")``, and ``"Name"`` into ``(None, "Name")``.

        Examples:
            >>> Registry.split_scope_key("mmdet.ResNet")
            ('mmdet', 'ResNet')
        """
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    @property
    def name(self) -> str:
        """What the registry contains, such as ``"model"``."""
        return self._name

    @property
    def scope(self) -> str:
        """Name of the library that owns the registry, such as ``"mmdet"``; the prefix in ``mmdet.Name``."""
        return self._scope

    @property
    def module_dict(self) -> dict[str, Any]:
        """The classes and functions registered in this registry, by name, without those of its parents."""
        return self._module_dict

    @property
    def children(self) -> dict[str, Registry]:
        """The child registries by scope."""
        return self._children

    @property
    def locations(self) -> tuple[str, ...]:
        """Modules that register classes here; they are imported when an unknown name is looked up first."""
        return tuple(self._locations)

    @property
    def root(self) -> Registry:
        """The topmost registry of the tree."""
        *_, topmost = line_of(self)
        return topmost

    def add_synonym(self, scope: str) -> None:
        """Adds a second name for this registry's scope, valid in names, in ``_scope_`` and as the default scope."""
        self._synonyms |= {_checked_scope(scope)}

    def remove_synonym(self, scope: str) -> None:
        """Removes a name that `add_synonym` added; the registry's own scope cannot be removed."""
        self._synonyms -= {scope} - {self._scope}

    def answers_to(self, scope: str) -> bool:
        """Whether `scope` is this registry's scope or one of its synonyms."""
        return scope in self._synonyms

    def register_module(self, name: str | Sequence[str] | None = None, force: bool = False, module: Any = None) -> Any:
        """Registers a class or function, either passed as `module` or decorated.

        Args:
            name: one name or several; None uses the name of the class or function.
            force: replaces a class or function that is already registered under the name.
            module: the class or function; None returns a decorator.

        Raises:
            TypeError: `force` is not a bool, `name` is neither a string nor strings, or `module` is not callable.
            DuplicateNameError: the name is already registered (a KeyError).

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
        """Registers a class or function under one or several names; None uses its own name.

        A name that is already registered raises DuplicateNameError, unless the earlier entry is a fallback, `force` is
        true, or the class was defined again in the same notebook.
        """
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
        """Registers a class or function with low priority: any other registration of the name replaces it.

        eng uses this for classes of other packages, such as all of ``torch.optim``. A user's own class with the same
        name is used instead, and registering it raises no error; the replacement is logged at level INFO.

        Args:
            name: the name to register.
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
        """Declares names that a package would register if it were installed.

        The error for such a name then says which package to install.

        Args:
            names: the names that would be registered; a name that was already declared keeps its package.
            package: name of the package for ``pip install``.
        """
        for name in names:
            self._package_of.setdefault(name, package)

    def get(self, key: str) -> Any:
        """Returns the class or function registered as `key`, or None.

        ``"Name"`` is looked up in this registry, then in its parents; ``"scope.Name"`` in the registry of that scope.
        A dotted path that is not registered, such as ``"torch.nn.ReLU"``, is imported.

        Args:
            key: ``"Name"``, ``"scope.Name"`` or a dotted path.

        Raises:
            TypeError: `key` is not a string.
            EmptyNameError: `key` is empty, or ends with a dot (a KeyError and a RuntimeError).
            ImportError: a module of `locations` exists, but its import fails.

        Examples:
            >>> Registry("any", scope="example").get("math.hypot")(3, 4)
            5.0
        """
        module = self._module_dict.get(key) if isinstance(key, str) else None
        return module if module is not None else self._search(key)

    def _search(self, key: str) -> Any:
        """Looks up a class or function: by name in this registry and its parents, by scope, or by dotted path."""
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
            # "a.b" may also be one registered name, if no scope "a" contains "b".
            module = find_name(self, key)
        return vet(key, object_at(key), self) if module is None else module

    def import_from_location(self) -> None:
        """Imports the modules of `locations`; later calls do nothing.

        A module that does not exist is skipped with a warning, so that the other locations still register their names.
        The error for an unknown name mentions the missing module.

        Raises:
            ImportError: a module of `locations` exists, but its import fails.
        """
        if self._imported:
            return
        # No lock is used: importlib itself makes a second thread wait for an import. A lock could block for ever,
        # because a location may look up names while it is imported.
        absent = {location for location in self._locations if not import_if_present(location)}
        # A missing module of eng belongs to a package of eng that is not installed, which needs no warning.
        unknown = {location for location in absent if distribution_of(location) is None}
        if unknown - self._absent:
            _LOGGER.warning("%s: there is no module %s, which it names as a location", self._label(), _listed(unknown))
        self._absent |= unknown
        # If a package of eng is missing, the next look-up tries again, because the package may be installed by then.
        self._imported = absent == unknown
        if not self._locations:
            register_all_modules_of(self._scope)

    def absent_locations(self) -> list[str]:
        """Returns the modules in `locations` of this registry and its parents that do not exist."""
        of_parents = [] if self.parent is None else self.parent.absent_locations()
        return sorted(self._absent.union(of_parents))

    def package_of_absent(self, name: str) -> str | None:
        """Returns the package that :meth:`register_absent` declared for `name`, here or in a parent; None without one."""
        of_parents = None if self.parent is None else self.parent.package_of_absent(name)
        return self._package_of.get(name, of_parents)

    def missing_distributions(self) -> list[str]:
        """Returns the packages of eng that are not installed and whose modules would register classes here."""
        self.import_from_location()
        absent = [location for location in self._locations if location not in sys.modules]
        return sorted({name for location in absent if (name := distribution_of(location))})

    def of_scope(self, scope: str) -> Registry | None:
        """Returns the registry of `scope` in this tree, or None.

        If the tree has no such scope yet, the module ``<scope>.registry`` is imported, which may add it.
        """
        registry = self._children.get(scope)
        if registry is None:  # Not `not registry`, because a registry without entries counts as false.
            registry = find_scope(self.root, scope)
        if registry is None and import_registry_of(scope):
            registry = find_scope(self.root, scope)
        return registry

    def in_current_scope(self) -> Registry:
        """Returns the registry of the default scope in this tree; this registry if no default scope is set."""
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
        """Makes `scope` the default scope inside a ``with`` block and yields the registry of that scope in this tree.

        Args:
            scope: the scope; None keeps the current one. For a scope without a registry in this tree, a warning is
                logged and this registry is yielded.

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
        """Returns the scopes of all registries in this tree, the root's first."""
        return [node.scope for node in tree_below(self.root)]

    def _warn_of_scope(self, scope: str) -> None:
        """Logs a warning that no registry of this tree has the scope that is the default scope.

        Each registry warns once of a scope; otherwise every mapping of a config would repeat the same warning.
        """
        if scope not in self._unknown_scopes:
            self._unknown_scopes.add(scope)
            _LOGGER.warning(
                "no scope %r among the %s registries (there are %s): names are looked up in %s. "
                "Check the spelling of default_scope or _scope_, or import the library that brings the scope",
                scope, self._name, ", ".join(self.scopes()), self._label(),
            )  # fmt: skip

    @contextmanager
    def isolated(self, *, empty: bool = False) -> Iterator[Registry]:
        """Undoes, at the end of a ``with`` block, all changes to this registry and its children. Meant for tests.

        Args:
            empty: whether the registry starts the block without names, children, synonyms and locations.

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

    def build(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Builds an object from a config by calling the registry's `build_func`.

        Args:
            cfg: a mapping. ``type`` is the name of a class or function, or the class or function itself; the other keys
                are its arguments.
            *args: further arguments for the build function.
            **kwargs: further arguments for the build function, such as ``default_args``.

        Raises:
            UnknownTypeError: no class or function is registered under the name (a KeyError).
            Exception: any exception of the constructor, with a note that names the config mappings around it.

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
    """Adds a child registry to `parent`; raises UsageValueError if a child with the same scope exists."""
    if child.scope in parent.children:
        raise UsageValueError(
            f"registry {parent.name!r} of scope {parent.scope!r} has a child of scope {child.scope!r} already"
        )
    parent.children[child.scope] = child


def _checked_scope(scope: object) -> str:
    """Returns `scope` if it is a valid scope: a non-empty string without dots.

    Raises:
        UsageTypeError: `scope` is not a string.
        UsageValueError: `scope` is empty or contains a dot.
    """
    if not isinstance(scope, str):
        raise UsageTypeError(f"a scope should be a string, not {scope!r}")
    if not scope or "." in scope:
        raise UsageValueError(f"a scope is one word without dots, not {scope!r}")
    return scope


def _check_names(name: object, registry: str) -> None:
    """Raises TypeError if the argument `name` of a registration is not a string, a sequence of strings or None."""
    if name is None or isinstance(name, str):
        return
    if isinstance(name, Sequence) and all(isinstance(item, str) for item in name):
        return
    hint = "; write @register_module() with parentheses" if callable(name) else ""
    raise TypeError(f"a name in registry {registry!r} is a string or several strings, not {name!r}{hint}")


def _find_below(registry: Registry, name: str) -> Any:
    """Looks up a name in `registry`, or in a child registry if the name begins with the scope of the child.

    Returns the registered class or function; None if the name is not registered.
    """
    scope, dot, inner = name.partition(".")
    if dot and scope in registry.children:
        return _find_below(registry.children[scope], inner)
    return find_name(registry, name)


def _is_defined_again(registered: Any, module: Any) -> bool:
    """Whether `module` is a new definition of the class `registered` in a script, notebook or interactive session.

    Running a notebook cell again defines its classes again, so registering such a class again is not an error.
    """
    return (
        registered is not module
        and getattr(module, "__module__", None) == "__main__"
        and _qualified(registered) == _qualified(module)
    )


def _qualified(module: Any) -> str:
    return f"{getattr(module, '__module__', '?')}.{getattr(module, '__qualname__', repr(module))}"
