"""Resolves names that old code expects in a module, and explains names that eng does not have."""

from __future__ import annotations

import difflib
import functools
import importlib
import json
from collections.abc import Callable
from importlib import resources
from types import ModuleType
from typing import Any

from eng.compat._routes import is_moved


class _Explain:
    """Function object that is the ``__getattr__`` of a module: it handles names that the module does not define.

    A name that MMEngine's module has and eng defines in another module is imported from there. For any other name an
    AttributeError is raised, which suggests similar names.
    """

    def __init__(self, module: ModuleType, alias: str, module_getattr: Callable[[str], Any] | None) -> None:
        self.module = module
        self.alias = alias
        self.module_getattr = module_getattr

    def __call__(self, name: str) -> Any:
        """Returns the object for a name that the module does not define, as in ``from mmengine.runner import name``.

        The module's own ``__getattr__`` is asked first. Otherwise the name may be a submodule of MMEngine whose
        counterpart in eng has another name, or an object that MMEngine's module imports from elsewhere and therefore
        exports.

        Raises:
            AttributeError: eng does not have the name; the message suggests similar names.
        """
        if self.module_getattr is not None:
            try:
                return self.module_getattr(name)
            except AttributeError:
                pass
        if is_moved(f"{self.alias}.{name}"):
            return importlib.import_module(f"{self.alias}.{name}")
        home = _home_of(self.module.__name__, name)
        if home is not None:
            return home
        raise AttributeError(message(self.module.__name__, name, dir(self.module)))


@functools.cache
def _reexports() -> dict[str, dict[str, str]]:
    """Returns where eng defines the names that modules of MMEngine import from other modules and so export, too.

    The table maps a module of eng to its names, and each name to the module of eng that defines the name. It was
    generated from the names of MMEngine 0.10.7.
    """
    text = resources.files("eng.compat").joinpath("reexports.json").read_text(encoding="utf-8")
    return {
        module: {name: home for home, names in homes.items() for name in names}
        for module, homes in json.loads(text).items()
    }


def _home_of(module: str, name: str) -> Any:
    """Returns the object that MMEngine's counterpart of `module` exports as `name`; None if there is no such name."""
    entry, _, original = _reexports().get(module, {}).get(name, "").partition(":")
    if not entry:
        return None
    home = importlib.import_module(entry)
    return home if original == "." else getattr(home, original or name)


def explain(module: ModuleType, alias: str) -> None:
    """Gives a module a ``__getattr__`` that finds names of MMEngine's module and explains names that eng lacks.

    Args:
        module: a module of eng.
        alias: the module path of MMEngine by which the module was imported, such as ``mmengine.runner``.
    """
    module_getattr = vars(module).get("__getattr__")
    if not isinstance(module_getattr, _Explain):
        vars(module)["__getattr__"] = _Explain(module, alias, module_getattr)


def forget(module: ModuleType) -> None:
    """Undoes `explain`: the module has its own ``__getattr__`` again, or none."""
    answer = vars(module).get("__getattr__")
    if not isinstance(answer, _Explain):
        return
    if answer.module_getattr is None:
        del module.__getattr__
    else:
        vars(module)["__getattr__"] = answer.module_getattr


def message(module: str, name: str, names: Any) -> str:
    """Returns the message of the AttributeError for a missing name, which suggests similar names."""
    nearest = difflib.get_close_matches(name, [known for known in names if not known.startswith("__")], n=3)
    hint = f"; did you mean {', '.join(nearest)}?" if nearest else "."
    return f"{module} has no {name!r}{hint} What eng leaves out on purpose is listed in docs/differences.md."
