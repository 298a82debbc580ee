"""What a name that eng does not have says: the nearest name, and where differences are listed."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType
from typing import Any

# Names that only old code asks a module of eng for, and where they live.
_ELSEWHERE = {
    "eng.runner": {
        "FlexibleRunner": "eng.compat.flexible_runner",
        "get_deprecated_model_names": "eng.compat.model_names",
    },
    "eng.runner.checkpoint": {"get_deprecated_model_names": "eng.compat.model_names"},
}


class _Explain:
    """Module-level ``__getattr__`` that gives what old code needs, and explains what is not there."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __call__(self, name: str) -> Any:
        place = _ELSEWHERE.get(self.module.__name__, {}).get(name)
        if place is not None:
            return getattr(importlib.import_module(place), name)
        raise AttributeError(message(self.module.__name__, name, dir(self.module)))


def explain(module: ModuleType) -> None:
    """Gives the module an answer for names it does not have, unless it has one of its own."""
    vars(module).setdefault("__getattr__", _Explain(module))


def forget(module: ModuleType) -> None:
    """Takes the answer away again."""
    if isinstance(vars(module).get("__getattr__"), _Explain):
        del module.__getattr__


def message(module: str, name: str, names: Any) -> str:
    """The text of the AttributeError for `name`."""
    near = difflib.get_close_matches(name, [known for known in names if not known.startswith("__")], n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else "."
    return f"{module} has no {name!r}{hint} What eng leaves out on purpose is listed in docs/differences.md."
