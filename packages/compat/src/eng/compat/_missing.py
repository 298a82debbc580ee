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
    """Module-level ``__getattr__`` that also finds names that MMEngine's module has and eng defines elsewhere.

    For other names it raises an AttributeError that suggests similar names.
    """

    def __init__(self, module: ModuleType, alias: str, module_getattr: Callable[[str], Any] | None) -> None:
        self.module = module
        self.alias = alias
        self.module_getattr = module_getattr

    def __call__(self, name: str) -> Any:
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
    """Returns the names that MMEngine's modules re-export: module of eng -> name -> module of eng that defines it.

    The table was generated from the names of MMEngine 0.10.7.
    """
    text = resources.files("eng.compat").joinpath("reexports.json").read_text(encoding="utf-8")
    return {
        module: {name: home for home, names in homes.items() for name in names}
        for module, homes in json.loads(text).items()
    }


def _home_of(module: str, name: str) -> Any:
    """Returns the object that MMEngine's module re-exports under `name`; None if it does not."""
    entry, _, original = _reexports().get(module, {}).get(name, "").partition(":")
    if not entry:
        return None
    home = importlib.import_module(entry)
    return home if original == "." else getattr(home, original or name)


def explain(module: ModuleType, alias: str) -> None:
    """Sets a ``__getattr__`` on a module that handles names which the module itself does not have.

    Args:
        module: a module of eng.
        alias: the module path of MMEngine by which it was imported.
    """
    module_getattr = vars(module).get("__getattr__")
    if not isinstance(module_getattr, _Explain):
        vars(module)["__getattr__"] = _Explain(module, alias, module_getattr)


def forget(module: ModuleType) -> None:
    """Restores the module's own ``__getattr__``."""
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
